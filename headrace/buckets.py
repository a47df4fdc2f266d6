"""Buckets: counts values by size, cheaply enough for paths that are walked for every batch or request. Pure."""

from bisect import bisect_left
from collections.abc import Sequence


class Buckets:
    """A histogram as Prometheus understands it.

    Args:
        bounds: largest value of each bucket, ascending; whatever is larger has a bucket of its own.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self._counts)

    def cumulative(self) -> list[tuple[str, float]]:
        """For each bound how many values were not larger; the last is `+Inf`."""
        names = [*(f"{bound:g}" for bound in self._bounds), "+Inf"]
        total, rows = 0, []
        for name, count in zip(names, list(self._counts), strict=True):
            total += count
            rows.append((name, float(total)))
        return rows
