"""Routes about API keys, for operators."""

import time
from typing import Any

from fastapi import APIRouter, Request, Response

from api.answers import json_answer
from api.body import body_as
from api.documentation import json_answers, json_body
from api.records import key_document
from api.schemas.tenants import KeyList, KeyRecord, MadeKeyRecord
from api.services import Services, services_of
from headrace.api_keys import ApiKey, KeyChange, KeyRequest, make_key
from headrace.errors import KeyNotFound

router = APIRouter(prefix="/v1/keys", tags=["keys"])


@router.post(
    "",
    status_code=201,
    summary="Make an API key",
    openapi_extra=json_body("KeyRequest"),
    responses=json_answers(
        {201: "The key with its text, which is never shown again"},
        MadeKeyRecord,
        problems=(400, 413, 415, 422, 503),
    ),
)
async def create(request: Request) -> Response:
    """Make a key for a tenant. From the first key on, every request must show one."""
    services, wanted = services_of(request), await body_as(request, KeyRequest)
    made = make_key(wanted, now_ms=_now_ms())
    if wanted.requests:  # before there is a key that could ask
        await services.mux.run(services.tenants.set_key_rate(made.key.id, wanted.requests))
    await services.mux.run(services.key_store.put(made.key))
    document = {**key_document(made.key, wanted.requests, now_ms=_now_ms()), "key": made.text}
    return json_answer(document, 201, {"Location": f"/v1/keys/{made.key.id}", "Cache-Control": "no-store"})


@router.get(
    "",
    summary="List API keys",
    responses=json_answers({200: "The oldest first"}, KeyList, problems=(503,)),
)
async def list_keys(request: Request) -> Response:
    """List all keys, those that open nothing any more among them; no secret is kept that could be shown."""
    services = services_of(request)
    found = await services.mux.run(services.key_store.all())
    rates = await services.mux.run(services.tenants.key_rates())
    return json_answer({"keys": [key_document(key, rates.get(key.id), now_ms=_now_ms()) for key in found]})


@router.patch(
    "/{key_id}",
    summary="Set how often an API key may ask",
    openapi_extra=json_body("KeyChange"),
    responses=json_answers({200: "As it is now"}, KeyRecord, problems=(400, 404, 413, 415, 422, 503)),
)
async def change(request: Request, key_id: str) -> Response:
    """Set what the body names; null takes it away. Within two seconds every API process knows."""
    services, changes = services_of(request), await body_as(request, KeyChange)
    key = await _found(services, key_id)
    if "requests" in changes.model_fields_set:
        await services.mux.run(services.tenants.set_key_rate(key_id, changes.requests))
    return json_answer(await _document(services, key))


@router.delete(
    "/{key_id}",
    summary="Revoke an API key",
    responses=json_answers({200: "Revoked, or had been before"}, KeyRecord, problems=(404, 503)),
)
async def revoke(request: Request, key_id: str) -> Response:
    """Revoke a key: within seconds no API process lets it pass; what it submitted goes on."""
    services = services_of(request)
    revoked = (await _found(services, key_id)).revoked(_now_ms())
    await services.mux.run(services.key_store.put(revoked))
    return json_answer(await _document(services, revoked))


async def _found(services: Services, key_id: str) -> ApiKey:
    key = await services.mux.run(services.key_store.get(key_id))
    if key is None:
        raise KeyNotFound(f"there is no API key {key_id[:80]}; GET /v1/keys lists them")
    return key


async def _document(services: Services, key: ApiKey) -> dict[str, Any]:
    rate = await services.mux.run(services.tenants.key_rate(key.id))
    return key_document(key, rate, now_ms=_now_ms())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
