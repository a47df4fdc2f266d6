"""Settler: says what came of attempts. All that comes up while one call is under way goes into the next."""

import asyncio
import logging

import redis

from headrace.delivery_store import DeliveryStore, Settlement
from headrace.errors import RedisUnavailable
from headrace.failpoints import failpoint
from headrace.mux import Mux
from workers.backoff import Backoff

log = logging.getLogger("headrace.courier")

_MOST_A_CALL = 200


class Settler:
    """One per courier.

    Args:
        mux: the connection.
        store: operations on the outbox.
        result_ttl_s: how long jobs are kept from now on whose ends are told.
    """

    def __init__(self, *, mux: Mux, store: DeliveryStore, result_ttl_s: int) -> None:
        self._mux, self._store, self._ttl_s = mux, store, result_ttl_s
        self._waiting: list[Settlement] = []
        self._is_wanted = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._task = asyncio.create_task(self._run())

    def put(self, settlement: Settlement) -> None:
        """Have it noted soon."""
        self._waiting.append(settlement)
        self._is_idle.clear()
        self._is_wanted.set()

    async def close(self, limit_s: float) -> None:
        """Note what there is, for so long at most; what is not noted then is attempted again by another courier."""
        try:
            async with asyncio.timeout(limit_s):
                await self._is_idle.wait()
        except TimeoutError:
            log.warning("%d deliveries are left unsettled", len(self._waiting))
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            await self._is_wanted.wait()
            self._is_wanted.clear()
            while self._waiting:
                some, self._waiting = self._waiting[:_MOST_A_CALL], self._waiting[_MOST_A_CALL:]
                await self._settle(some)
            self._is_idle.set()

    async def _settle(self, settlements: list[Settlement]) -> None:
        """A server that is down is told when it is back, if nobody leased the deliveries since."""
        failpoint("courier.before_settle")
        op = self._store.settle(settlements, result_ttl_s=self._ttl_s)
        backoff = Backoff(first_s=0.1, most_s=2.0)
        while True:
            try:
                await self._mux.run(op)
                failpoint("courier.settled")
                return
            except RedisUnavailable as error:
                pause_s = backoff.next_s()
                log.warning("%d deliveries are not settled yet: %s", len(settlements), error)
                await asyncio.sleep(pause_s)
            except redis.ResponseError:
                # Their leases run out, and they are attempted again.
                log.exception("%d deliveries cannot be settled", len(settlements))
                return
