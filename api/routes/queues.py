"""Routes about what waits and who works."""

import orjson
from fastapi import APIRouter, Request, Response

from api.documentation import json_answers
from api.presences import Roster
from api.records import worker_document
from api.schemas import QueueList, WorkerList
from api.services import Services, services_of
from headrace.keys import group_of, split_group
from headrace.store import QueueDepth
from headrace.tiers import Tier

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
    queues = [_document(queue, roster) for queue in depths if queue.depth or queue.group in released]
    return Response(orjson.dumps({"queues": queues}), media_type="application/json")


@router.get(
    "/workers",
    summary="See who works",
    responses=json_answers({200: "As they describe themselves"}, WorkerList, problems=(503,)),
)
async def list_workers(request: Request) -> Response:
    """List the workers that are alive."""
    roster = await services_of(request).presences.roster()
    workers = [worker_document(worker) for worker in roster.workers]
    return Response(orjson.dumps({"workers": workers}), media_type="application/json")


def _released(services: Services) -> set[str]:
    refs = [served.ref for model in services.catalog.models() for served in model.versions.values()]
    return {group_of(ref, tier) for ref in refs for tier in Tier}


def _document(queue: QueueDepth, roster: Roster) -> dict[str, object]:
    ref, tier = split_group(queue.group)
    reason, detail = roster.explain(ref, tier)
    return {
        "model": {"name": ref.name, "version": ref.version},
        "tier": tier,
        "depth": queue.depth,
        "oldest_age_ms": queue.oldest_age_ms if queue.depth else None,
        "workers": roster.serving(ref, tier),
        "reason": reason if queue.depth else None,
        "reason_detail": (detail or None) if queue.depth else None,
    }
