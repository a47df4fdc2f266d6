"""HostMemory: which versions that leave the device stay in host memory, from where they come back by a copy. Pure.

The second level of residency. As at the first (`eviction`) a version is worth keeping by the seconds of reload that its
copy saves, how often it is wanted, and how few bytes it holds. But there is no floor that lifts those that are used,
since here nothing is used: all are compared by the rates of now, so that one that nobody wants any more sinks.
"""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from workers.eviction import UseRate


class _Parked(NamedTuple):
    size_bytes: int
    saved_s: float


class HostMemory:
    """Of one worker.

    Args:
        budget_bytes: host memory that versions may take while they are off the device; 0: none stays.
    """

    def __init__(self, budget_bytes: int = 0) -> None:
        self._budget_bytes = budget_bytes
        self._parked: dict[str, _Parked] = {}
        self._rates: dict[str, UseRate] = {}

    def __contains__(self, ref: str) -> bool:
        return ref in self._parked

    def __iter__(self) -> Iterator[str]:
        return iter(self._parked)

    @property
    def used_bytes(self) -> int:
        """What they take."""
        return sum(parked.size_bytes for parked in self._parked.values())

    def used(self, ref: str, jobs: int, now: float) -> None:
        """A pass over so many jobs of a version ended."""
        self._rates.setdefault(ref, UseRate()).add(jobs, now)

    def parked(self, ref: str, size_bytes: int, saved_s: float) -> None:
        """A version is there from now on, takes so much, and comes back so much faster than by a load."""
        self._parked[ref] = _Parked(max(size_bytes, 1), saved_s)

    def gone(self, ref: str) -> None:
        """A version is on the device again, or not in memory at all."""
        self._parked.pop(ref, None)

    def room_for(
        self, ref: str, size_bytes: int, saved_s: float, *, kept: Collection[str], now: float
    ) -> list[str] | None:
        """Decide whether a version that leaves the device is parked.

        Args:
            ref: the version.
            size_bytes: what it will take.
            saved_s: seconds by which its copy back is faster than its load.
            kept: what does not go for it.
            now: monotonic seconds.

        Returns:
            Those that must go for it, each worth less than it; None: it is not worth its place, and is unloaded.
        """
        if saved_s <= 0 or size_bytes > self._budget_bytes:
            return None
        worth = self._worth(ref, _Parked(max(size_bytes, 1), saved_s), now)
        lesser = [other for other in self._least(now) if other not in kept and self._worth_of(other, now) < worth]
        return self._first(lesser, self.used_bytes + size_bytes - self._budget_bytes)

    def overflow(self, now: float) -> list[str]:
        """Those that must go because they take more than was thought."""
        return self._first(self._least(now), self.used_bytes - self._budget_bytes) or []

    def _first(self, refs: list[str], wanted_bytes: int) -> list[str] | None:
        """As many of these, from the first, as have so many bytes; None if all have not."""
        found: list[str] = []
        for ref in refs:
            if wanted_bytes <= 0:
                break
            found.append(ref)
            wanted_bytes -= self._parked[ref].size_bytes
        return None if wanted_bytes > 0 else found

    def _least(self, now: float) -> list[str]:
        return sorted(self._parked, key=lambda ref: self._worth_of(ref, now))

    def _worth_of(self, ref: str, now: float) -> float:
        return self._worth(ref, self._parked[ref], now)

    def _worth(self, ref: str, parked: _Parked, now: float) -> float:
        rate = self._rates.get(ref)
        return rate.per_s(now) * parked.saved_s / parked.size_bytes if rate else 0.0
