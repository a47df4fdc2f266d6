"""Waiting jobs of one model version, in the order of service. Pure."""

from collections import OrderedDict
from collections.abc import Iterator
from functools import partial
from itertools import chain, count, islice, repeat
from typing import NamedTuple

#: Number of tiers; 0 is the most urgent one.
TIERS = 3
NEVER_S = float("inf")


class WaitingJob(NamedTuple):
    """A job that the child has received and not begun. `slot` is the parent's number for it, unique while it is here.

    `tier` is 0 for priority, 1 for standard, 2 for spot; `deadline_s` is in seconds of the monotonic clock. One that
    `leads` goes before all others of its tier: it is the only one of its tenant.
    """

    slot: int
    input: bytes
    tier: int = 1
    deadline_s: float = NEVER_S
    leads: bool = False
    #: How far a pass before was that did not end.
    state: bytes = b""
    #: What its model draws random numbers from; None for whatever it draws.
    seed: int | None = None


class Entry(NamedTuple):
    """A waiting job and when it came: its number among all arrivals, and the time."""

    arrival: int
    since_s: float
    job: WaitingJob


#: Like `Entry._make`, at a third of its cost: this happens to every job.
_new_entry = partial(tuple.__new__, Entry)


class Waiting:
    """What waits for one model version: higher tiers first, then who leads, then by arrival.

    Costs become known later, or never.

    Args:
        ref: the version.
        is_apart: these share no batch with others, nor with each other.
    """

    def __init__(self, ref: str, *, is_apart: bool = False) -> None:
        self.ref, self.is_apart = ref, is_apart
        #: Two for each tier: who leads, and the others.
        self._lanes: list[OrderedDict[int, Entry]] = [OrderedDict() for _ in range(2 * TIERS)]
        #: Costs of the jobs that have been preprocessed, by slot.
        self.costs: dict[int, float] = {}
        self._known_cost = 0.0
        #: True once a job with a deadline has come.
        self.has_deadlines = False

    def __len__(self) -> int:
        return sum(map(len, self._lanes))

    def __iter__(self) -> Iterator[Entry]:
        return chain.from_iterable(lane.values() for lane in self._lanes)

    def sole(self) -> Entry | None:
        """The job that waits here if it is the only one."""
        lanes = [lane for lane in self._lanes if lane]
        if len(lanes) != 1 or len(lanes[0]) != 1:
            return None
        [entry] = lanes[0].values()
        return entry

    def __contains__(self, slot: int) -> bool:
        for lane in self._lanes:  # noqa: SIM110 - asked of every job, and a generator costs more than the looking
            if slot in lane:
                return True
        return False

    @property
    def mean_cost(self) -> float:
        """Mean of the known costs; 1 if none is known."""
        return self._known_cost / len(self.costs) if self.costs else 1.0

    def extend(self, jobs: list[WaitingJob], first_arrival: int, now: float) -> None:
        """Put jobs at the ends of their lanes; their arrivals are numbered from `first_arrival`."""
        lanes = self._lanes
        for entry in map(_new_entry, zip(count(first_arrival), repeat(now), jobs)):
            job = entry.job
            lanes[2 * job.tier + 1 - job.leads][job.slot] = entry
            if job.deadline_s != NEVER_S:
                self.has_deadlines = True

    def price(self, slot: int, cost: float) -> None:
        """A job that waits here has this cost."""
        self._known_cost += cost - self.costs.get(slot, 0.0)
        self.costs[slot] = cost

    def head(self) -> Entry:
        """The job that is served next; there must be one."""
        return next(iter(self))

    def oldest(self) -> Entry:
        """The job that came first, whatever its tier; there must be one."""
        return min(next(iter(lane.values())) for lane in self._lanes if lane)

    def first(self, most: int) -> list[Entry]:
        """The next `most` jobs in the order of service."""
        return list(islice(self, most))

    def unpriced(self, limit: int) -> list[WaitingJob]:
        """The next `limit` jobs whose cost is not known."""
        return list(islice((entry.job for entry in self if entry.job.slot not in self.costs), limit))

    def take(self, entries: list[Entry]) -> list[WaitingJob]:
        """Remove these, which wait here, and give their jobs."""
        jobs = [entry.job for entry in entries]
        for job in jobs:
            del self._lanes[2 * job.tier + 1 - job.leads][job.slot]
        if self.costs:
            self._forget_costs(jobs)
        return jobs

    def remove(self, slot: int) -> bool:
        """Forget a job; says whether it waited here."""
        for lane in self._lanes:
            if (entry := lane.get(slot)) is not None:
                self.take([entry])
                return True
        return False

    def _forget_costs(self, jobs: list[WaitingJob]) -> None:
        for job in jobs:
            self._known_cost -= self.costs.pop(job.slot, 0.0)
