"""Routes about webhooks: which ends of jobs were told to whom."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Request, Response

from api.callers import caller_of
from api.documentation import json_answers
from api.records import delivery_document
from api.schemas import DeliveryList
from api.services import Services, services_of
from headrace.webhooks import Delivery

router = APIRouter(prefix="/v1", tags=["webhooks"])


@router.get(
    "/webhook-deliveries",
    summary="See which webhooks were delivered",
    responses=json_answers({200: "Newest first"}, DeliveryList, problems=(422, 503)),
)
async def list_deliveries(
    request: Request, limit: Annotated[int, Query(ge=1, le=500, description="How many at most.")] = 50
) -> Response:
    """List deliveries of jobs that have ended and are still kept; those that no courier has tried yet come first."""
    deliveries = await _newest(services_of(request), caller_of(request).tenant, limit)
    documents = [delivery_document(delivery) for delivery in deliveries]
    return Response(orjson.dumps({"deliveries": documents}), media_type="application/json")


async def _newest(services: Services, tenant: str, limit: int) -> list[Delivery]:
    store, run = services.deliveries, services.mux.run
    listed = await run(store.listed(tenant, limit=limit))
    untold = {name for name in await run(store.untold(limit=limit)) if name.startswith(f"{tenant}/")}
    # Ids sort by age.
    untried = sorted(untold - set(listed), reverse=True)
    return (await run(store.read([*untried, *listed])))[:limit]
