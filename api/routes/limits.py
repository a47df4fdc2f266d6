"""The route about what bounds the caller."""

from fastapi import APIRouter, Request, Response

from api.answers import json_answer
from api.callers import caller_of
from api.documentation import json_answers
from api.schemas.tenants import Limits
from api.services import services_of
from headrace.submission import MOST_METADATA

router = APIRouter(prefix="/v1/limits", tags=["limits"])


@router.get("", summary="See what bounds you", responses=json_answers({200: "All limits"}, Limits, problems=(503,)))
async def limits(request: Request) -> Response:
    """Show the limits of the caller's tenant and key, and those of every request."""
    services, caller = services_of(request), caller_of(request)
    settings, tenant = services.settings, caller.tenant
    rates = {limit.name: limit.rate.model_dump() for limit in await services.rates.of(caller)}
    weights, caps = await services.mux.run(services.tenants.weights()), await services.caps.of(tenant)
    document = {
        "tenant": tenant,
        "weight": weights.get(tenant, 1.0),
        "requests": rates.get("tenant"),
        "key_requests": rates.get("key"),
        "open_requests": settings.max_open_requests,
        "open_waits": settings.max_open_waits,
        "waiting_jobs": settings.queue_cap,
        "tenant_waiting_jobs": caps.waiting_jobs,
        "running_jobs": caps.running_jobs,
        "body_bytes": settings.max_body_bytes,
        "bulk_jobs": settings.max_bulk_jobs,
        "bulk_bytes": settings.max_bulk_bytes,
        "metadata_pairs": MOST_METADATA,
        "wait_s": settings.max_wait_s,
        "run_s": settings.forward_limit_s,
        "result_kept_s": settings.result_ttl_s,
        "longest_result_kept_s": settings.max_result_ttl_s,
        "idempotency_key_kept_s": settings.idempotency_ttl_s,
    }
    return json_answer(document)
