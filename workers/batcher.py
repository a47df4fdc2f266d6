"""Batcher: which of the waiting jobs run next, together. Pure; the child asks it whenever it becomes free.

Times are seconds of the monotonic clock. The cost of a job is what the model's author says (`Model.cost`: tokens,
pixels), known once it has been preprocessed; that of a batch is padded: its items times the largest one's cost.
"""

from collections import deque
from collections.abc import Collection, Mapping
from typing import NamedTuple

from workers.admission import Formed, Limits, form, led_by
from workers.cost_model import LEAST_COST, CostModel
from workers.waiting import Entry, Waiting, WaitingJob

__all__ = ["Batch", "Batcher", "Limits", "Wait", "WaitingJob"]

#: Behind a version's name, that of its jobs which share no batch.
_APART = " apart"
#: After so many batches without the job that came first, whatever its tier, that job leads one.
PATIENCE = 16


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
    """Work-conserving: the head of the order decides the model, and jobs of that model may join it.

    The order is that of arrival, higher tiers first, within a tier those first that lead. The head always runs, so
    nothing starves: not a length that has no company, nor (see `PATIENCE`) a tier that more urgent jobs keep
    overtaking. A job that cannot meet its deadline any more runs all the same, in its turn: it is the queue that lets
    jobs expire. Nothing is handed out twice: what `next_batch` returns no longer waits here.

    Jobs that share no batch wait as those of another version would whose batches are of one.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, Waiting] = {}
        self._alone: deque[tuple[str, WaitingJob]] = deque()
        self._arrivals = 0
        self._alone_is_next = False
        self._oldest = 0
        self._passed_over = 0

    def add(
        self,
        ref: str,
        jobs: list[WaitingJob],
        *,
        now: float = 0.0,
        alone: bool = False,
        apart: Collection[int] = (),
    ) -> None:
        """Take jobs of one model version in the order of service.

        `alone` gives each a batch of its own, out of turn, as a suspect; the slots in `apart` have one in their turn.
        """
        if alone:
            self._alone.extend((ref, job) for job in jobs)
        elif apart:
            for job in jobs:
                self._put(ref, [job], now, is_apart=job.slot in apart)
        elif jobs:
            self._put(ref, jobs, now)

    def _put(self, ref: str, jobs: list[WaitingJob], now: float, *, is_apart: bool = False) -> None:
        key = ref + _APART if is_apart else ref
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = Waiting(ref, is_apart=is_apart)
        waiting.extend(jobs, self._arrivals + 1, now)
        self._arrivals += len(jobs)

    def prepared(self, slot: int, cost: float) -> bool:
        """A job has been preprocessed, and this is its cost; False, and nothing happens, if it no longer waits."""
        for waiting in self._waiting.values():
            if slot in waiting:
                waiting.price(slot, max(cost, LEAST_COST))
                return True
        return False

    def remove(self, slot: int) -> None:
        """Forget a job that was refused or canceled; nothing happens if it no longer waits."""
        if self._alone:
            self._alone = deque((ref, job) for ref, job in self._alone if job.slot != slot)
        for key, waiting in self._waiting.items():
            if waiting.remove(slot):
                return self._drop_if_empty(key)
        return None

    def unprepared(self, limit: int) -> list[tuple[str, WaitingJob]]:
        """Up to `limit` jobs whose cost is not known, in the order in which they will be wanted."""
        found: list[tuple[str, WaitingJob]] = []
        for waiting in map(self._waiting.__getitem__, sorted(self._waiting, key=self._order)):
            found += [(waiting.ref, job) for job in waiting.unpriced(limit - len(found))]
        return found

    @property
    def is_empty(self) -> bool:
        """True if nothing waits."""
        return not self._waiting and not self._alone

    def wanted(self, limits: Mapping[str, Limits]) -> tuple[str, list[WaitingJob]] | None:
        """Jobs whose costs must be known before the next batch can be chosen well; None if they are.

        Those are as many of the version that goes next as may run together, if its author gives costs.
        """
        if not self._waiting or (self._alone and self._alone_is_next):
            return None
        if not any(waiting.ref in limits and limits[waiting.ref].sized for waiting in self._waiting.values()):
            return None
        key, head = self._lead()
        waiting = self._waiting[key]
        bounds = limits.get(waiting.ref)
        if bounds is None or not bounds.sized or waiting.is_apart:
            return None
        mates = led_by(head, waiting.first(bounds.max_batch), bounds.max_batch)
        jobs = [entry.job for entry in mates if entry.job.slot not in waiting.costs]
        return (waiting.ref, jobs) if jobs else None

    def next_batch(self, now: float, limits: Mapping[str, Limits]) -> Batch | Wait | None:
        """The next batch, or until when to wait for company; None if nothing waits.

        A version that `limits` does not name gets batches of one. Jobs that must run alone are suspects: others go
        first, but one suspect follows each batch, so that they wait for a bounded time under any load.
        """
        if self._alone and (self._alone_is_next or not self._waiting):
            self._alone_is_next = False
            ref, job = self._alone.popleft()
            return Batch(ref, [job])
        if not self._waiting:
            return None
        if (sole := self._sole(limits)) is not None:
            return sole
        key, head = self._lead()
        waiting = self._waiting[key]
        bounds = limits.get(waiting.ref) or Limits(CostModel())
        formed = form(head, waiting, bounds, now)
        if formed.wants_more and (until_s := self._wait_until(formed, bounds)) > now:
            return Wait(until_s)
        self._alone_is_next = True
        self._passed_over = self._passed_over + 1 if head.arrival != self._oldest else 0
        jobs = waiting.take(formed.entries)
        self._drop_if_empty(key)
        return Batch(waiting.ref, jobs, formed.cost, bounds.costs.t(formed.cost) if formed.cost else 0.0)

    def _sole(self, limits: Mapping[str, Limits]) -> Batch | None:
        """The only job that waits, unless it might wait for company: where there is no choice nothing is weighed."""
        key, waiting = next(iter(self._waiting.items()))
        bounds = limits.get(key)
        if len(self._waiting) > 1 or bounds is None or any(bounds.max_wait_s) or (entry := waiting.sole()) is None:
            return None
        self._alone_is_next, self._oldest, self._passed_over = True, entry.arrival, 0
        cost = waiting.costs.get(entry.job.slot, 0.0) if bounds.sized else 1.0
        del self._waiting[key]
        return Batch(key, [entry.job], cost, bounds.costs.t(cost) if cost else 0.0)

    def clear(self) -> None:
        """Forget everything that waits."""
        self._waiting.clear()
        self._alone.clear()

    def staged_s(self, limits: Mapping[str, Limits]) -> float:
        """Seconds of work that wait here, in batches as large as they may be, as far as authors tell costs."""
        known = ((waiting, limits[waiting.ref]) for waiting in self._waiting.values() if waiting.ref in limits)
        return sum(_work_s(waiting, bounds) for waiting, bounds in known if bounds.sized)

    def _lead(self) -> tuple[str, Entry]:
        """Who goes first: the head of the order, or the job that came first if it was passed over too often."""
        entry, key = min((waiting.oldest(), key) for key, waiting in self._waiting.items())
        if entry.arrival != self._oldest:
            self._oldest, self._passed_over = entry.arrival, 0
        if self._passed_over < PATIENCE:
            key = min(self._waiting, key=self._order)
            entry = self._waiting[key].head()
        return key, entry

    def _order(self, key: str) -> tuple[int, bool, int]:
        entry = self._waiting[key].head()
        return entry.job.tier, not entry.job.leads, entry.arrival

    def _wait_until(self, formed: Formed, bounds: Limits) -> float:
        """Until when these should wait for company: not at all if anything else could run, or anyone is urgent."""
        if self._alone or len(self._waiting) > 1 or not any(bounds.max_wait_s):
            return 0.0
        waits = [e.since_s + bounds.max_wait_s[e.job.tier] if e.job.tier else 0.0 for e in formed.entries]
        one_more = formed.cost * (1 + 1 / len(formed.entries))
        return min(*waits, formed.soonest_s - bounds.costs.t_hi(one_more), float("inf"))

    def _drop_if_empty(self, key: str) -> None:
        if not len(self._waiting[key]):
            del self._waiting[key]


def _work_s(waiting: Waiting, bounds: Limits) -> float:
    mean = waiting.mean_cost if bounds.sized else 1.0
    most = 1 if waiting.is_apart else bounds.max_batch
    size = max(min(len(waiting), most, bounds.budget / mean), 1.0)
    return len(waiting) / size * bounds.costs.t(size * mean)
