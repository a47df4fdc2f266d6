"""Batcher: which of the waiting jobs run next, together. Pure; the child asks it whenever it becomes free.

Times are seconds of the monotonic clock. The cost of a job is what the model's author says (`Model.cost`: tokens,
pixels), known once it has been preprocessed; that of a batch is padded: its items times the largest one's cost.
"""

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from workers.cost_model import CostModel
from workers.waiting import Entry, Waiting, WaitingJob

__all__ = ["Batch", "Batcher", "Limits", "Wait", "WaitingJob"]


class Limits(NamedTuple):
    """What bounds the batches of one model version here, and what is known about their time.

    `sized` says that the author gives costs; without it every job costs 1, prepared or not.
    """

    costs: CostModel
    #: Most items, by the author.
    max_batch: int = 1
    sized: bool = False
    #: Most padded cost, by the author.
    max_cost: float = float("inf")
    #: Most padded cost that the device's memory is known to hold.
    memory_cost: float = float("inf")
    #: How long a batch may wait for company, for each tier; priority jobs never wait.
    max_wait_s: tuple[float, float, float] = (0.0, 0.0, 0.0)


class Batch(NamedTuple):
    """Jobs of one model version for one forward pass. `cost` is padded; 0 where a job's cost is not known."""

    ref: str
    jobs: list[WaitingJob]
    cost: float = 0.0
    expected_s: float = 0.0


class Wait(NamedTuple):
    """Nothing should run before `until_s`, unless another job arrives."""

    until_s: float


class Batcher:
    """Work-conserving: the head of the order decides the model, and jobs of that model join it.

    The order is that of arrival, higher tiers first. Nothing is handed out twice: what `next_batch` returns no longer
    waits here.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, Waiting] = {}
        self._alone: deque[tuple[str, WaitingJob]] = deque()
        self._arrivals = 0
        self._alone_is_next = False

    def add(self, ref: str, jobs: list[WaitingJob], *, now: float = 0.0, alone: bool = False) -> None:
        """Take jobs of one model version in the order of service; `alone` gives each a batch of its own."""
        if alone:
            self._alone.extend((ref, job) for job in jobs)
            return
        waiting = self._waiting.get(ref)
        if waiting is None:
            waiting = self._waiting[ref] = Waiting()
        for job in jobs:
            self._arrivals += 1
            waiting.append(Entry(self._arrivals, now, job))

    def prepared(self, slot: int, cost: float) -> None:
        """A job has been preprocessed, and this is its cost; nothing happens if it no longer waits."""
        for waiting in self._waiting.values():
            if slot in waiting:
                waiting.costs[slot] = cost
                return

    def remove(self, slot: int) -> None:
        """Forget a job that was refused or canceled; nothing happens if it no longer waits."""
        self._alone = deque((ref, job) for ref, job in self._alone if job.slot != slot)
        for ref, waiting in list(self._waiting.items()):
            if waiting.remove(slot):
                self._drop_if_empty(ref)
                return

    def unprepared(self, limit: int) -> list[tuple[str, WaitingJob]]:
        """Up to `limit` jobs whose cost is not known, in the order in which they will be wanted."""
        found = []
        for ref in sorted(self._waiting, key=self._order):
            waiting = self._waiting[ref]
            found += [(ref, entry.job) for entry in waiting if entry.job.slot not in waiting.costs]
        return found[:limit]

    def next_batch(self, now: float, limits: Mapping[str, Limits]) -> Batch | Wait | None:
        """The next batch, or until when to wait for company; None if nothing waits.

        A version that `limits` does not name gets batches of one. Jobs that must run alone are suspects: others go
        first, but one suspect follows each batch, so that they wait for a bounded time under any load.
        """
        del now
        if self._alone and (self._alone_is_next or not self._waiting):
            self._alone_is_next = False
            ref, job = self._alone.popleft()
            return Batch(ref, [job])
        if not self._waiting:
            return None
        self._alone_is_next = True
        ref = min(self._waiting, key=self._order)
        waiting = self._waiting[ref]
        most = limits[ref].max_batch if ref in limits else 1
        jobs = [entry.job for entry in waiting.first(most)]
        for job in jobs:
            waiting.remove(job.slot)
        self._drop_if_empty(ref)
        return Batch(ref, jobs)

    def clear(self) -> None:
        """Forget everything that waits."""
        self._waiting.clear()
        self._alone.clear()

    def staged_s(self, limits: Mapping[str, Limits]) -> float:
        """Seconds of work that wait here, as far as the cost models know."""
        return sum(
            limits[ref].costs.t(sum(waiting.costs.get(entry.job.slot, 1.0) for entry in waiting))
            for ref, waiting in self._waiting.items()
            if ref in limits
        )

    def _order(self, ref: str) -> tuple[int, int]:
        entry = self._waiting[ref].head()
        return entry.job.tier, entry.arrival

    def _drop_if_empty(self, ref: str) -> None:
        if not len(self._waiting[ref]):
            del self._waiting[ref]
