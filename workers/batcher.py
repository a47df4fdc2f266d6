"""Batcher: which of the waiting jobs run next, together. Pure; the child asks it whenever it becomes free."""

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple


class WaitingJob(NamedTuple):
    """A job that the child has received and not begun. `slot` is the parent's number for it."""

    slot: int
    input: bytes


class Batch(NamedTuple):
    """Jobs of one model version for one forward pass."""

    ref: str
    jobs: list[WaitingJob]


class Batcher:
    """Greedy and work-conserving: the oldest waiting job decides the model, and all of that model that fits comes too.

    Never waits for company: batches form because the model is busy while jobs arrive.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, deque[tuple[int, WaitingJob]]] = {}
        self._alone: deque[tuple[str, WaitingJob]] = deque()
        self._arrivals = 0
        self._alone_is_next = False

    def add(self, ref: str, jobs: list[WaitingJob], *, alone: bool = False) -> None:
        """Take jobs of one model version in the order of service; `alone` gives each a batch of its own."""
        if alone:
            self._alone.extend((ref, job) for job in jobs)
            return
        queue = self._waiting.setdefault(ref, deque())
        for job in jobs:
            self._arrivals += 1
            queue.append((self._arrivals, job))

    def next_batch(self, max_batch: Mapping[str, int]) -> Batch | None:
        """The next batch, None if nothing waits.

        Jobs that must run alone are suspects: others go first, but one suspect follows each batch, so that they wait
        for a bounded time under any load.
        """
        if self._alone and (self._alone_is_next or not self._waiting):
            self._alone_is_next = False
            ref, job = self._alone.popleft()
            return Batch(ref, [job])
        if not self._waiting:
            return None
        self._alone_is_next = True
        ref = min(self._waiting, key=lambda name: self._waiting[name][0][0])
        queue = self._waiting[ref]
        jobs = [queue.popleft()[1] for _ in range(min(len(queue), max_batch.get(ref, 1)))]
        if not queue:
            del self._waiting[ref]
        return Batch(ref, jobs)

    def clear(self) -> None:
        """Forget everything that waits."""
        self._waiting.clear()
        self._alone.clear()
