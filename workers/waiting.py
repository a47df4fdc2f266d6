"""Waiting jobs of one model version, in the order of service. Pure."""

from collections import OrderedDict
from collections.abc import Iterator
from itertools import chain, islice
from typing import NamedTuple

#: Number of tiers; 0 is the most urgent one.
TIERS = 3
NEVER_S = float("inf")


class WaitingJob(NamedTuple):
    """A job that the child has received and not begun. `slot` is the parent's number for it, unique while it is here.

    `tier` is 0 for priority, 1 for standard, 2 for spot; `deadline_s` is in seconds of the monotonic clock.
    """

    slot: int
    input: bytes
    tier: int = 1
    deadline_s: float = NEVER_S


class Entry(NamedTuple):
    """A waiting job and when it came: its number among all arrivals, and the time."""

    arrival: int
    since_s: float
    job: WaitingJob


class Waiting:
    """What waits for one model version: higher tiers first, then by arrival. Costs become known later, or never."""

    def __init__(self) -> None:
        self._tiers: tuple[OrderedDict[int, Entry], ...] = tuple(OrderedDict() for _ in range(TIERS))
        self.costs: dict[int, float] = {}

    def __len__(self) -> int:
        return sum(map(len, self._tiers))

    def __iter__(self) -> Iterator[Entry]:
        return chain.from_iterable(tier.values() for tier in self._tiers)

    def __contains__(self, slot: int) -> bool:
        return any(slot in tier for tier in self._tiers)

    def append(self, entry: Entry) -> None:
        """Put a job at the end of its tier."""
        self._tiers[entry.job.tier][entry.job.slot] = entry

    def head(self) -> Entry:
        """The job that is served next; there must be one."""
        return next(iter(self))

    def first(self, count: int) -> list[Entry]:
        """The next `count` jobs in the order of service."""
        return list(islice(self, count))

    def remove(self, slot: int) -> bool:
        """Forget a job; says whether it waited here."""
        self.costs.pop(slot, None)
        return any(tier.pop(slot, None) is not None for tier in self._tiers)
