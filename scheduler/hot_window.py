"""HotWindow: what has ended stays in Redis for its time to live, or as long as there is room for it."""

import logging
from typing import NamedTuple

from headrace.redis_op import RedisOp, Reply
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis

log = logging.getLogger("headrace.scheduler")

#: Of the server's own limit, what finished jobs and waiting ones may take together; the rest is for what comes.
_SHARE = 0.8
#: Jobs that one script call looks at, and calls in one step: no call may hold the server for long.
_LOOK = 500
_CALLS = 40


class Memory(NamedTuple):
    """What the server uses, and its own limit, 0 if it has none."""

    used_bytes: int
    max_bytes: int

    def room_bytes(self, window_bytes: int) -> int:
        """How much may be used."""
        return min(window_bytes, int(_SHARE * self.max_bytes)) if self.max_bytes else window_bytes


class HotWindow:
    """Forgets finished jobs early, the oldest first, while the server uses more than it may.

    Args:
        store: operations of the cell.
        connection: carries them out.
        window_bytes: memory that may be used before anything is forgotten.
    """

    def __init__(self, *, store: JobStore, connection: SyncRedis, window_bytes: int) -> None:
        self._store = store
        self._connection = connection
        self._window_bytes = window_bytes
        self._cursors: dict[str, int] = {}

    def step(self) -> int:
        """Forget what does not fit; answers how many jobs."""
        forgotten = 0
        for _ in range(_CALLS):
            if not self._is_too_full() or not (tenants := self._tenants()):
                break
            forgotten += self._forget(tenants[0])
        if forgotten:
            log.warning(
                "%d finished jobs were forgotten early: Redis uses more than hot_window_bytes allows", forgotten
            )
        return forgotten

    def _is_too_full(self) -> bool:
        memory = self._connection.run(RedisOp(_memory, ("INFO", "memory")))
        return memory.used_bytes > memory.room_bytes(self._window_bytes)

    def _tenants(self) -> list[str]:
        """All tenants, beginning with the one whose turn it is: the one whose index was gone through least."""
        tenants = self._connection.run(self._store.tenants())
        return sorted(tenants, key=lambda tenant: (self._cursors.get(tenant, 0), tenant))

    def _forget(self, tenant: str) -> int:
        op = self._store.forget(tenant, cursor=self._cursors.get(tenant, 0), limit=_LOOK)
        answer = self._connection.run(op)
        self._cursors[tenant] = answer.cursor
        return answer.forgotten


def _memory(reply: Reply) -> Memory:
    lines = (line.partition(":") for line in reply.decode().splitlines())
    facts = {name: value for name, _, value in lines}
    return Memory(used_bytes=int(facts["used_memory"]), max_bytes=int(facts["maxmemory"]))
