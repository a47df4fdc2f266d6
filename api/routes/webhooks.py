"""Routes about webhooks: which ends of jobs were told to whom."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import AwareDatetime

from api.answers import json_answer
from api.callers import caller_of
from api.documentation import json_answers
from api.listening import PLACE, Listener
from api.records import delivery_document
from api.schemas.webhooks import DeliveryList, ListenedEvents, ReplayedList, WebhookDelivery
from api.services import Services, services_of
from headrace.delivery_store import MOST_LISTED, Place
from headrace.errors import DeliveryNotFound
from headrace.reading import DATED
from headrace.webhooks import Delivery, DeliveryState, delivery_of, event_id_of

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
    return json_answer({"deliveries": documents})


@router.get(
    "/webhook-events",
    summary="Listen to webhooks",
    responses=json_answers({200: "The first first"}, ListenedEvents, problems=(422, 503)),
)
async def listen(
    request: Request,
    after: Annotated[
        str | None, Query(pattern=PLACE, description="`cursor` of the answer before; without it, from now on.")
    ] = None,
    wait: Annotated[float, Query(ge=0, le=30, description="For how many seconds, if there is none yet.")] = 0,
    limit: Annotated[int, Query(ge=1, le=100, description="How many at most.")] = 50,
) -> Response:
    """Get what couriers begin to tell receivers, each event as it is sent, and signed for the listener too."""
    services, tenant = services_of(request), caller_of(request).tenant
    place = Place.parse(after, tenant) if after else None
    document = await Listener(services, tenant).listen(place, wait_s=wait, limit=limit)
    return json_answer(document, headers={"Cache-Control": "no-store"})


@router.post(
    "/webhook-deliveries/{delivery_id}/replay",
    status_code=202,
    summary="Have a webhook delivered again",
    responses=json_answers({202: "It is due now"}, WebhookDelivery, problems=(404, 503)),
)
async def replay(request: Request, delivery_id: str) -> Response:
    """Deliver an event again under its own id, from the first attempt on; one that waits is attempted at once."""
    services, tenant = services_of(request), caller_of(request).tenant
    name = delivery_of(delivery_id, tenant)
    if name is None or not await _replay(services, [name]):
        raise DeliveryNotFound(
            f"there is no delivery {delivery_id[:80]} of a job that has ended and is still kept;"
            " GET /v1/webhook-deliveries lists what there is"
        )
    [delivery] = await services.mux.run(services.deliveries.read([name]))
    return json_answer(delivery_document(delivery), 202)


@router.post(
    "/webhook-deliveries:replay",
    summary="Have many webhooks delivered again",
    responses=json_answers({200: "What is due now"}, ReplayedList, problems=(422, 503)),
)
async def replay_all(
    request: Request,
    status: Annotated[DeliveryState, Query(description="Those that are so.")] = DeliveryState.FAILED,
    since: Annotated[AwareDatetime | None, DATED, Query(description="Attempted last at this time or later.")] = None,
    limit: Annotated[int, Query(ge=1, le=500, description="How many of the newest at most.")] = 100,
) -> Response:
    """Deliver all again that failed, or another state, of a time; asked again, it goes on with the rest."""
    services, tenant = services_of(request), caller_of(request).tenant
    since_ms = since.timestamp() * 1000 if since else 0
    deliveries = [
        delivery
        for delivery in await _newest(services, tenant, MOST_LISTED)
        if delivery.state is status and (delivery.attempted_ms or 0) >= since_ms
    ]
    replayed = await _replay(services, [delivery.id for delivery in deliveries[:limit]])
    return json_answer({"replayed": list(map(event_id_of, replayed))})


async def _replay(services: Services, names: list[str]) -> list[str]:
    """Those of the deliveries that are due again."""
    if not names:
        return []
    op = services.deliveries.replay(names, result_ttl_s=services.settings.result_ttl_s)
    due = await services.mux.run(op)
    return [name for name, is_due in zip(names, due, strict=True) if is_due]


async def _newest(services: Services, tenant: str, limit: int) -> list[Delivery]:
    store, run = services.deliveries, services.mux.run
    listed = await run(store.listed(tenant, limit=limit))
    # Of all tenants' that wait, however many of others come first.
    untold = {name for name in await run(store.untold(limit=MOST_LISTED)) if name.startswith(f"{tenant}/")}
    # Ids sort by age.
    untried = sorted(untold - set(listed), reverse=True)[:limit]
    return (await run(store.read([*untried, *listed])))[:limit]
