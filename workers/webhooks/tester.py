"""Tester: makes the tests of receivers that their owners ask for, outside the lanes, each once."""

import asyncio
import logging

import redis

from headrace.endpoint_tests import EndpointTest, EndpointTestStore
from headrace.errors import RedisUnavailable
from headrace.failpoints import failpoint
from headrace.mux import Mux
from workers.webhooks.schedule import Answer
from workers.webhooks.tally import DeliveryTally
from workers.webhooks.teller import Teller

log = logging.getLogger("headrace.courier")

#: Under way at once, so that tests never take what deliveries need.
_MOST_AT_ONCE = 4


class Tester:
    """One per courier. A test that its courier did not survive is not made again: its owner presses the button again.

    Args:
        mux: the connection.
        store: operations on tests.
        teller: makes the attempt as any other.
        tally: counts it among the attempts.
    """

    def __init__(self, *, mux: Mux, store: EndpointTestStore, teller: Teller, tally: DeliveryTally) -> None:
        self._mux, self._store, self._teller, self._tally = mux, store, teller, tally
        self._under_way = set[asyncio.Task[None]]()

    async def look(self) -> None:
        """Begin what is asked for and there is room for."""
        room = _MOST_AT_ONCE - len(self._under_way)
        if room <= 0:
            return
        for test in await self._take(room):
            task = asyncio.create_task(self._make_on(test))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def close(self) -> None:
        """Drop what is under way."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _take(self, limit: int) -> list[EndpointTest]:
        try:
            return await self._mux.run(self._store.take(limit=limit))
        except (RedisUnavailable, redis.ResponseError) as error:
            log.debug("tests cannot be taken: %s", error)
            return []

    async def _make_on(self, test: EndpointTest) -> None:
        """Make one, then those that found no room meanwhile."""
        tests = [test]
        while tests:
            await self._make(tests[0])
            tests = await self._take(1)

    async def _make(self, test: EndpointTest) -> None:
        began = asyncio.get_running_loop().time()
        try:
            if not await self._mux.run(self._store.is_wanted(test)):
                return
            failpoint("courier.test_taken")
            answer = await self._attempt(test)
            failpoint("courier.tested")
            self._tally.attempted(answer.outcome, asyncio.get_running_loop().time() - began)
            log.info("test %s of endpoint %s: %s", test.id, test.endpoint_id, answer.outcome)
            await self._mux.run(self._store.answer(test, answer.outcome, answer.status))
        except (RedisUnavailable, redis.ResponseError) as error:
            log.warning("test %s of endpoint %s has no answer: %s", test.id, test.endpoint_id, error)

    async def _attempt(self, test: EndpointTest) -> Answer:
        try:
            return await self._teller.test(test)
        except RedisUnavailable:
            raise
        except Exception:
            log.exception("test %s of endpoint %s could not be attempted", test.id, test.endpoint_id)
            return Answer("internal")
