"""Shrinker: the smallest part of a failing schedule that still fails (ddmin; Zeller and Hildebrandt 2002)."""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def shrink(schedule: Sequence[T], fails: Callable[[Sequence[T]], bool], *, runs: int = 60) -> list[T]:
    """Leave out ever smaller parts as long as the rest still fails; at most `runs` runs of `fails`."""
    rest, parts = list(schedule), 2
    while len(rest) >= 2 and runs > 0:
        size = -(-len(rest) // parts)
        for first in range(0, len(rest), size):
            runs -= 1
            without = rest[:first] + rest[first + size :]
            if fails(without):
                rest, parts = without, max(2, parts - 1)
                break
            if runs <= 0:
                return rest
        else:
            if parts >= len(rest):
                break
            parts = min(len(rest), 2 * parts)
    return rest
