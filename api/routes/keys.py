"""Routes about API keys, for operators."""

import time

from fastapi import APIRouter, Request, Response

from api.answers import json_answer
from api.body import body_as
from api.documentation import json_answers, json_body
from api.records import key_document
from api.schemas.tenants import KeyList, KeyRecord, MadeKeyRecord
from api.services import services_of
from headrace.api_keys import KeyRequest, make_key
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
    services = services_of(request)
    made = make_key(await body_as(request, KeyRequest), now_ms=_now_ms())
    await services.mux.run(services.key_store.put(made.key))
    document = {**key_document(made.key, now_ms=_now_ms()), "key": made.text}
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
    return json_answer({"keys": [key_document(key, now_ms=_now_ms()) for key in found]})


@router.delete(
    "/{key_id}",
    summary="Revoke an API key",
    responses=json_answers({200: "Revoked, or had been before"}, KeyRecord, problems=(404, 503)),
)
async def revoke(request: Request, key_id: str) -> Response:
    """Revoke a key: within seconds no API process lets it pass; what it submitted goes on."""
    services = services_of(request)
    key = await services.mux.run(services.key_store.get(key_id))
    if key is None:
        raise KeyNotFound(f"there is no API key {key_id[:80]}")
    revoked = key.revoked(_now_ms())
    await services.mux.run(services.key_store.put(revoked))
    return json_answer(key_document(revoked, now_ms=_now_ms()))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
