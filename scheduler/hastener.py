"""Hastener: moves jobs whose deadlines are at risk on spot machines to where others take them, some each step."""

import logging
from collections.abc import Mapping

from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from headrace.worker_class import WorkerClass
from scheduler.deadline_risk import DeadlineRisk
from scheduler.observation import Observation

log = logging.getLogger("headrace.scaling")

#: Near deadlines that one step looks at, and jobs that it moves: it holds the server for a few milliseconds.
_LOOKED_AT, _MOVED = 1000, 200


class Hastener:
    """Walks through the deadlines that are near, beginning again at the end.

    Args:
        classes: the worker classes.
        store: operations of the cell.
        connection: carries them out.
    """

    def __init__(self, *, classes: Mapping[str, WorkerClass], store: JobStore, connection: SyncRedis) -> None:
        self._risk = DeadlineRisk(classes=classes)
        self._store = store
        self._connection = connection
        self._cursor = 0

    def step(self, seen: Observation) -> int:
        """Move what is at risk by what was seen; answers how many jobs.

        Raises:
            RedisUnavailable: if the server does not answer.
        """
        rows = self._risk.hastenings(seen)
        if not rows:
            self._cursor = 0
            return 0
        op = self._store.hasten(rows, cursor=self._cursor, limit=_LOOKED_AT, most=_MOVED)
        moved, self._cursor = self._connection.run(op)
        if moved:
            log.info("%d jobs would have missed their deadlines on spot machines: others take them", moved)
        return moved
