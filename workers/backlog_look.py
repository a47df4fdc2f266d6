"""BacklogLook: asks Redis what waits for models that a worker has not loaded, and what somebody wants loaded.

Only a worker asks whose models do not all fit. Of those that are loaded the bell tells. What waits in a queue that is
paused is worth no load.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Collection, Sequence

from headrace.groups import queue_of, split_group
from headrace.queue_store import QueueStore
from headrace.store import JobStore
from headrace.store_views import QueueDepth
from workers.model_choice import Backlog
from workers.residency import Residency
from workers.wire import Wire

log = logging.getLogger("headrace.residency")


class BacklogLook:
    """Never waits: what it learns the residency is told when the answer comes."""

    def __init__(self, *, wire: Wire, store: JobStore, residency: Residency) -> None:
        self._wire = wire
        self._store = store
        self._residency = residency
        self._queues = QueueStore(store.keys)
        self._paused: frozenset[str] = frozenset()

    def look(self, groups: Sequence[str]) -> None:
        """Ask about these groups."""
        if not (self._residency.budget_bytes and groups and self._wire.is_open):
            return
        # Answers come in the order of the questions.
        self._wire.send(self._queues.paused(), self._saw_paused, self._failed)
        self._wire.send(self._store.depths(groups), self._saw, self._failed)
        now_ms = time.time_ns() // 1_000_000
        self._wire.send(self._store.warm(now_ms=now_ms), self._residency.ask, self._failed)

    def _saw_paused(self, queues: Collection[str]) -> None:
        self._paused = frozenset(queues)

    def _saw(self, depths: Sequence[QueueDepth]) -> None:
        waiting: defaultdict[str, list[Backlog]] = defaultdict(list)
        for depth in depths:
            ref, tier = split_group(depth.group)
            if queue_of(depth.group) in self._paused:
                continue
            waiting[str(ref)].append(Backlog(tier, depth.depth, depth.oldest_age_ms / 1000))
        self._residency.saw(waiting)

    def _failed(self, error: Exception) -> None:
        log.warning("what waits for models that are not loaded cannot be seen: %s", error)
