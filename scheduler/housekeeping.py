"""Housekeeping: what happens to jobs without anybody asking.

Every act is one idempotent script, so any number of schedulers may keep house.
"""

import logging
from collections.abc import Callable
from typing import TypeVar

from headrace.failpoints import failpoint
from headrace.redis_op import RedisOp
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis

log = logging.getLogger("headrace.scheduler")

T = TypeVar("T")

#: Jobs touched by one script call, so that no call holds the server for long.
BATCH = 200

#: Calls of one act in one round; what is left waits for the next round.
_MAX_CALLS = 50

#: Entries of the job index that one round looks at.
_SWEEP_ENTRIES = 500

#: Rest between two sweeps of everything.
SWEEP_REST_S = 30.0


class Housekeeper:
    """Takes jobs back from silent workers, expires and promotes what is due.

    Args:
        store: operations of the cell.
        connection: carries them out.
        result_ttl_s: how long jobs that end here are kept.
    """

    def __init__(self, *, store: JobStore, connection: SyncRedis, result_ttl_s: int) -> None:
        self._store = store
        self._connection = connection
        self._ttl_s = result_ttl_s

    def reap(self) -> int:
        """Take jobs back whose leases ran out; answers how many."""
        failpoint("scheduler.before_reap")
        op = self._store.reap(limit=BATCH, result_ttl_s=self._ttl_s)
        requeued = ended = 0
        for reaped in self._repeat(op, size=sum):
            requeued, ended = requeued + reaped.requeued, ended + reaped.dead
        if requeued or ended:
            log.warning("%d jobs of silent workers are queued again, %d are ended", requeued, ended)
        failpoint("scheduler.reaped")
        return requeued + ended

    def expire(self) -> int:
        """End jobs whose deadline or latest start has passed; answers how many."""
        op = self._store.expire(limit=BATCH, result_ttl_s=self._ttl_s)
        return self._counted(op, "%d jobs expired")

    def promote(self) -> int:
        """Make delayed jobs ready whose time has come; answers how many."""
        return self._counted(self._store.promote(limit=BATCH), "%d delayed jobs became ready")

    def _counted(self, op: RedisOp[int], message: str) -> int:
        total = sum(self._repeat(op, size=int))
        if total:
            log.info(message, total)
        return total

    def _repeat(self, op: RedisOp[T], *, size: Callable[[T], int]) -> list[T]:
        """Carry an act out until it finds less than a full batch."""
        answers: list[T] = []
        while len(answers) < _MAX_CALLS:
            answers.append(self._connection.run(op))
            if size(answers[-1]) < BATCH:
                break
        return answers


class Sweeper:
    """Walks slowly through the job index of every tenant, some entries a step, resting after each round.

    Args:
        store: operations of the cell.
        connection: carries them out.
        result_ttl_s: how long finished jobs are kept.
    """

    def __init__(self, *, store: JobStore, connection: SyncRedis, result_ttl_s: int) -> None:
        self._store = store
        self._connection = connection
        self._ttl_s = result_ttl_s
        self._tenants: list[str] = []
        self._cursor = 0
        self._rest_until = float("-inf")

    def step(self, now: float) -> None:
        """Look at the next entries, unless it rests."""
        if now < self._rest_until:
            return
        if not self._tenants:
            tenants = self._connection.run(self._store.tenants())
            self._tenants = sorted(tenants)
        if self._tenants:
            self._sweep(self._tenants[0])
        if not self._tenants:
            self._rest_until = now + SWEEP_REST_S

    def _sweep(self, tenant: str) -> None:
        op = self._store.sweep(tenant, cursor=self._cursor, limit=_SWEEP_ENTRIES, result_ttl_s=self._ttl_s)
        swept = self._connection.run(op)
        self._cursor = swept.cursor
        if not swept.cursor:
            self._tenants.pop(0)
        if swept.mended:
            log.warning("put %d jobs of tenant %s in order again", swept.mended, tenant)
        if swept.forgotten:
            log.debug("forgot %d jobs of tenant %s that are no longer kept", swept.forgotten, tenant)
