"""Routes about what waits, who works, and how many there should be."""

import time
from asyncio import gather
from collections.abc import Iterable

from fastapi import APIRouter, Request, Response

from api.answers import json_answer
from api.documentation import json_answers
from api.presences import Roster
from api.records import worker_document
from api.schemas.fleet import DesiredWorkers, QueueList, Scaling, WorkerList
from api.services import Services, services_of
from headrace.errors import Unavailable
from headrace.groups import group_of, outgrown_of, split_group
from headrace.redis_op import RedisOp, Reply
from headrace.replies import read_numbers
from headrace.scaling import ScalingChange, ScalingReport
from headrace.store_views import QueueCounts, QueueDepth
from headrace.tiers import Tier
from headrace.timestamps import rfc3339

#: Changes that are shown.
_CHANGES = 50

router = APIRouter(prefix="/v1", tags=["queues"])


@router.get(
    "/queues",
    summary="See what waits",
    responses=json_answers({200: "By model and tier"}, QueueList, problems=(503,)),
)
async def list_queues(request: Request) -> Response:
    """List each released model and tier, and any other queue that still holds jobs."""
    services = services_of(request)
    released = _released(services)
    known = await services.mux.run(services.store.groups())
    depths = await services.mux.run(services.store.depths(sorted(released | set(known))))
    roster = await services.presences.roster()
    shown = [queue for queue in depths if queue.depth or queue.group in released or roster.load(queue.group).held]
    counts = await gather(*(services.mux.run(services.store.counts(queue.group)) for queue in shown))
    queues = [
        _document(queue, count, roster.beyond(outgrown_of(queue.group)))
        for queue, count in zip(shown, counts, strict=True)
    ]
    return json_answer({"queues": queues})


@router.get(
    "/workers",
    summary="See who works",
    responses=json_answers({200: "As they describe themselves"}, WorkerList, problems=(503,)),
)
async def list_workers(request: Request) -> Response:
    """List the workers that are alive."""
    roster = await services_of(request).presences.roster()
    workers = [worker_document(worker) for worker in roster.workers]
    return json_answer({"workers": workers})


@router.get(
    "/scaling",
    summary="See how many workers there should be, and why",
    responses=json_answers({200: "The scheduler's last decision and what changed before"}, Scaling, problems=(503,)),
)
async def show_scaling(request: Request) -> Response:
    """Show what the scheduler decided for each worker class, with its reasons, and the last changes."""
    services = services_of(request)
    keys = services.store.keys
    report = await services.mux.run(RedisOp(_report, ("GET", keys.scaling)))
    entries = ("XREVRANGE", keys.scaling_log, "+", "-", "COUNT", _CHANGES)
    changes = await services.mux.run(RedisOp(_changes, entries))
    return json_answer(_scaling(report, changes))


@router.get(
    "/scaling/desired",
    summary="See how many workers there should be, for other scalers",
    responses=json_answers({200: "A number for each worker class"}, DesiredWorkers, problems=(503,)),
)
async def show_desired(request: Request) -> Response:
    """Show the numbers alone, as KEDA's metrics-api scaler reads them; 503 until a scheduler has decided."""
    services = services_of(request)
    desired = await services.mux.run(RedisOp(read_numbers, ("HGETALL", services.store.keys.desired)))
    if not desired:
        raise Unavailable("no scheduler has decided yet how many workers there should be", retry_after_s=1)
    return json_answer(desired)


def _released(services: Services) -> set[str]:
    refs = [served.ref for model in services.catalog.models() for served in model.versions.values()]
    return {group_of(ref, tier) for ref in refs for tier in Tier}


def _document(queue: QueueDepth, counts: QueueCounts, roster: Roster) -> dict[str, object]:
    ref, tier = split_group(queue.group)
    wait_ms = counts.recent_wait_ms(time.time_ns() // 1_000_000)
    load = roster.load(queue.group)
    reason, detail = roster.explain(ref, tier)
    return {
        "model": {"name": ref.name, "version": ref.version},
        "tier": tier,
        "outgrown_bytes": outgrown_of(queue.group) or None,
        "depth": queue.depth,
        "oldest_age_ms": queue.oldest_age_ms if queue.depth else None,
        "running": load.running,
        "held": load.held,
        "wait_ms": None if wait_ms is None else round(wait_ms),
        "arrived": counts.arrived,
        "ended": counts.ended,
        "workers": roster.serving(ref, tier),
        "reason": reason if queue.depth else None,
        "reason_detail": (detail or None) if queue.depth else None,
    }


def _report(reply: Reply) -> ScalingReport | None:
    return None if reply is None else ScalingReport.model_validate_json(reply)


def _changes(reply: Reply) -> list[ScalingChange]:
    return [ScalingChange.model_validate_json(fields[1]) for _, fields in reply]


def _scaling(report: ScalingReport | None, changes: Iterable[ScalingChange]) -> dict[str, object]:
    return {
        "scheduler": report and report.scheduler,
        "decided": report and rfc3339(report.at_ms),
        "cost_per_hour": report and report.cost_per_hour,
        "classes": [row.model_dump(mode="json") for row in report.classes] if report else [],
        "changes": [{**change.model_dump(exclude={"at_ms"}), "at": rfc3339(change.at_ms)} for change in changes],
    }
