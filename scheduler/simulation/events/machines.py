"""Machines: how many of a kind the market has at each moment, from a trace or drawn."""

import csv
import gzip
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from random import Random


class Machines:
    """A number that holds until the next one.

    Args:
        at_s: from when on, ascending, the first at 0.
        counts: how many there are then.
    """

    def __init__(self, at_s: Sequence[float], counts: Sequence[int]) -> None:
        self._at_s, self._counts = at_s, counts

    def at(self, now: float) -> int:
        """How many there are."""
        return self._counts[bisect_right(self._at_s, now) - 1]

    @property
    def last_s(self) -> float:
        """When they change for the last time."""
        return self._at_s[-1]

    def without(self, since_s: float, until_s: float) -> "Machines":
        """The same, but none at all for some time."""
        before = [at for at in self._at_s if at < since_s]
        after = [at for at in self._at_s if at > until_s]
        at_s = [*before, since_s, until_s, *after]
        counts = [*map(self.at, before), 0, self.at(until_s), *map(self.at, after)]
        return Machines(at_s, counts)


def read_machines(file: Path) -> Machines:
    """Those of a trace with the columns `t_s` and `spot_nodes_available`."""
    with gzip.open(file, "rt", newline="") as lines:
        rows = [(float(row["t_s"]), int(row["spot_nodes_available"])) for row in csv.DictReader(lines)]
    at_s, counts = zip(*sorted(rows), strict=True)
    return Machines(at_s, counts)


def drawn_machines(*, most: int, hours: float, seed: int, up_h: float = 2.0, down_h: float = 1.0) -> Machines:
    """Machines that come and go each by itself, for exponential times of these means; all are there at first."""
    random = Random(seed)
    changes: list[tuple[float, int]] = []
    for _ in range(most):
        at_h, is_up = random.expovariate(1 / up_h), True
        while at_h < hours:
            changes.append((3600 * at_h, -1 if is_up else 1))
            is_up = not is_up
            at_h += random.expovariate(1 / (up_h if is_up else down_h))
    at_s, counts = [0.0], [most]
    for at, change in sorted(changes):
        at_s.append(at)
        counts.append(counts[-1] + change)
    return Machines(at_s, counts)
