"""Routes about what waits, who works, and how many there should be."""

import time
from asyncio import gather
from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from api.answers import json_answer
from api.desk import desk_of
from api.documentation import json_answers
from api.presences import Roster
from api.purging import MOST_CONFIRMED, Purging
from api.queues import Queues, released_queues
from api.records import worker_document
from api.schemas.fleet import DesiredWorkers, PausedQueue, PurgedQueue, QueueList, Scaling, WorkerList
from api.services import services_of
from headrace.errors import Unavailable
from headrace.groups import outgrown_of, queue_of, split_group
from headrace.queue_store import MOST_REASON
from headrace.redis_op import RedisOp, Reply
from headrace.replies import read_numbers
from headrace.scaling import ScalingChange, ScalingReport
from headrace.store_views import QueueCounts, QueueDepth
from headrace.timestamps import rfc3339

#: Changes that are shown.
_CHANGES = 50

_Name = Annotated[str, Path(description="As `GET /v1/queues` names it: `model@version:tier`.")]

router = APIRouter(prefix="/v1", tags=["queues"])


@router.get(
    "/queues",
    summary="See what waits",
    responses=json_answers({200: "By model and tier"}, QueueList, problems=(503,)),
)
async def list_queues(request: Request) -> Response:
    """List each released model and tier, and any other queue that still holds jobs."""
    services = services_of(request)
    known = await services.mux.run(services.store.groups())
    roster = await services.presences.roster()
    # What is released or paused is shown also while nothing is in it.
    always = released_queues(services) | set(roster.paused)
    depths = await services.mux.run(services.store.depths(sorted(always | set(known))))
    shown = [queue for queue in depths if queue.depth or queue.group in always or roster.load(queue.group).held]
    counts = await gather(*(services.mux.run(services.store.counts(queue.group)) for queue in shown))
    queues = [
        _document(queue, count, roster.beyond(outgrown_of(queue.group)))
        for queue, count in zip(shown, counts, strict=True)
    ]
    return json_answer({"queues": queues})


@router.post(
    "/queues/{queue}/pause",
    summary="Have no worker take jobs of a queue any more",
    responses=json_answers({200: "Since when it is paused"}, PausedQueue, problems=(404, 422, 503)),
)
async def pause(
    request: Request,
    queue: _Name,
    reason: Annotated[str, Query(max_length=MOST_REASON, description="Told to whoever waits.")] = "",
) -> Response:
    """Pause a queue, also for what has outgrown a size: workers end what they have, and jobs are accepted and wait."""
    paused = await Queues(services_of(request)).pause(queue, reason=reason.strip())
    return json_answer({"name": queue, "paused": paused.document})


@router.post(
    "/queues/{queue}/resume",
    summary="Have workers take jobs of a queue again",
    responses=json_answers({200: "It is not paused"}, PausedQueue, problems=(404, 503)),
)
async def resume(request: Request, queue: _Name) -> Response:
    """Let a queue go on; workers that wait are woken."""
    await Queues(services_of(request)).resume(queue)
    return json_answer({"name": queue, "paused": None})


@router.post(
    "/queues/{queue}/purge",
    summary="Cancel all jobs that wait in a queue",
    responses=json_answers(
        {200: "How many there were, and what became of them"}, PurgedQueue, problems=(404, 409, 422, 503)
    ),
)
async def purge(
    request: Request,
    queue: _Name,
    confirm: Annotated[
        int | None,
        Query(ge=0, le=MOST_CONFIRMED, description="So many jobs may be canceled; if more wait, none is."),
    ] = None,
    dry_run: Annotated[bool, Query(description="Only count them, whatever `confirm` says.")] = False,
) -> Response:
    """Cancel what waits, of all tenants, if it is no more than `confirm`; without it only count. Webhooks are told."""
    purging = Purging(services_of(request), desk_of(request))
    done = await purging.purge(queue, confirm=confirm, dry_run=dry_run)
    return json_answer({"name": queue, **done._asdict()})


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


def _document(queue: QueueDepth, counts: QueueCounts, roster: Roster) -> dict[str, object]:
    ref, tier = split_group(queue.group)
    wait_ms = counts.recent_wait_ms(time.time_ns() // 1_000_000)
    load = roster.load(queue.group)
    reason, detail = roster.explain(ref, tier)
    name = queue_of(queue.group)
    paused = roster.paused.get(name)
    return {
        "name": name,
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
        "paused": paused and paused.document,
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
