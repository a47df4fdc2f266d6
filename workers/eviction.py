"""Eviction: which of the loaded model versions give way when memory is wanted for another. Pure.

GreedyDual-Size-Frequency (Cherkasova 1998, after Cao and Irani 1997): a version is worth keeping by what its next load
would cost, how often it is wanted, and how little memory it holds. Whatever is not used any more sinks below the rest,
because those that are used are lifted by the score of the last one that went.
"""

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

#: A version stays for so many times its own load, or loading would be all that is done.
STAY = 2.0
#: After this time a job counts half in the rate at which its version is wanted.
_HALF_LIFE_S = 300.0


class UseRate:
    """Jobs a second, of which old ones count less and less."""

    def __init__(self, half_life_s: float = _HALF_LIFE_S) -> None:
        self._tau_s = half_life_s / math.log(2)
        self._count = 0.0
        self._at = 0.0

    def add(self, jobs: int, now: float) -> None:
        """So many were served."""
        self._count = self._left(now) + jobs
        self._at = now

    def per_s(self, now: float) -> float:
        """The rate now."""
        return self._left(now) / self._tau_s

    def _left(self, now: float) -> float:
        return self._count * math.exp(min(0.0, self._at - now) / self._tau_s)


@dataclass
class _Resident:
    size_bytes: int
    load_s: float
    loaded_at: float
    score: float = 0.0


class Eviction:
    """Knows what is loaded on one device.

    Args:
        pinned: tells, by its reference, whether a version must stay.
    """

    def __init__(self, pinned: Callable[[str], bool] = lambda _: False) -> None:
        self._pinned = pinned
        self._floor = 0.0
        self._residents: dict[str, _Resident] = {}
        self._rates: dict[str, UseRate] = {}

    def __contains__(self, ref: str) -> bool:
        return ref in self._residents

    def __iter__(self) -> Iterator[str]:
        return iter(self._residents)

    def loaded(self, ref: str, *, size_bytes: int, load_s: float, now: float) -> None:
        """A version is in memory from now on."""
        self._residents[ref] = _Resident(max(size_bytes, 1), load_s, now)
        self._lift(ref, now)

    def used(self, ref: str, jobs: int, now: float) -> None:
        """A pass over so many jobs of a version ended."""
        self._rates.setdefault(ref, UseRate()).add(jobs, now)
        if ref in self._residents:
            self._lift(ref, now)

    def gone(self, ref: str) -> None:
        """A version was unloaded, for whatever reason."""
        self._residents.pop(ref, None)

    def evicted(self, ref: str) -> None:
        """A version gave way to another."""
        self._floor = max(self._floor, self._residents.pop(ref).score)

    def victims(self, wanted_bytes: int, *, kept: Collection[str], now: float) -> list[str] | None:
        """The versions that should go so that so much memory becomes free; None if even all that may go are too few."""
        spare: list[str] = []
        for ref in sorted(self._evictable(kept, now), key=lambda ref: self._residents[ref].score):
            if self._bytes(spare) >= wanted_bytes:
                break
            spare.append(ref)
        if self._bytes(spare) < wanted_bytes:
            return None
        # The last one may be so large that some of those before it need not go.
        for ref in reversed(spare[:-1]):
            if self._bytes(spare) - self._residents[ref].size_bytes >= wanted_bytes:
                spare.remove(ref)
        return spare

    @property
    def most_bytes(self) -> int:
        """What could become free in time."""
        return self._bytes([ref for ref in self._residents if not self._pinned(ref)])

    def _evictable(self, kept: Collection[str], now: float) -> list[str]:
        return [
            ref
            for ref, resident in self._residents.items()
            if not self._pinned(ref) and ref not in kept and now - resident.loaded_at >= STAY * resident.load_s
        ]

    def _bytes(self, refs: Collection[str]) -> int:
        return sum(self._residents[ref].size_bytes for ref in refs)

    def _lift(self, ref: str, now: float) -> None:
        resident, rate = self._residents[ref], self._rates.get(ref)
        worth = rate.per_s(now) * resident.load_s / resident.size_bytes if rate else 0.0
        resident.score = self._floor + worth
