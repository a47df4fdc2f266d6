"""A test of a registered receiver: laid before the couriers, and waited for."""

import asyncio
import time
from typing import Any

from api.services import Services
from headrace.endpoint_tests import EndpointTest, EndpointTestStore, new_test
from headrace.errors import Conflict

#: A courier hears the bell at once; one that has not taken a test by then is busy or not there.
_TAKEN_WITHIN_S = 3.0
#: What a courier needs beside the attempt itself.
_MARGIN_S = 5.0
_LOOK_EVERY_S = 0.1


async def test_endpoint(services: Services, tenant: str, endpoint_id: str) -> dict[str, Any]:
    """Send one event and answer what came of it.

    Raises:
        Conflict: if the tenant has a test under way.
        RedisUnavailable: if that cannot be known.
    """
    run, store = services.mux.run, EndpointTestStore(services.endpoints.keys)
    longest_s = _TAKEN_WITHIN_S + services.settings.webhook_timeout_s + _MARGIN_S
    test = new_test(tenant, endpoint_id)
    if not await run(store.begin(test, ttl_s=round(longest_s + _MARGIN_S))):
        raise Conflict("a test of one of your endpoints is under way; try again when it is over")
    try:
        await run(store.ask(test))
        await run(store.ring())
        outcome, status = await _outcome(services, store, test, longest_s)
    finally:
        await run(store.end(test))
    return {"id": test.id, "delivered": 200 <= status < 300, "outcome": outcome}


async def _outcome(
    services: Services, store: EndpointTestStore, test: EndpointTest, longest_s: float
) -> tuple[str, int]:
    run = services.mux.run
    if found := await _wait(services, store, test, _TAKEN_WITHIN_S):
        return found
    if await run(store.withdraw(test)):
        return "no_courier", 0
    return await _wait(services, store, test, longest_s - _TAKEN_WITHIN_S) or ("no_answer", 0)


async def _wait(
    services: Services, store: EndpointTestStore, test: EndpointTest, limit_s: float
) -> tuple[str, int] | None:
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        if found := await services.mux.run(store.answered(test)):
            return found
        await asyncio.sleep(_LOOK_EVERY_S)
    return None
