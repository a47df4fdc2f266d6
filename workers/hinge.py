"""Hinge: the line that batch times follow, flat at first and then rising. Pure.

Small batches take as long as the smallest one (launches, weights read from memory), larger ones in proportion to the
work: t(P) = floor + slope * max(P - knee, 0). On measured curves of GPUs the hinge errs less than a straight line.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

#: So many places for the knee are tried.
KNEES = 16
#: Throughput counts as flat from this share of what an endless batch would have.
FLAT_SHARE = 0.9
#: Least spread of the costs, relative to their size, that gives a slope.
_LEAST_SPREAD = 1e-9


class Point(NamedTuple):
    """Batches of about the same cost: their mean cost, mean time, and how much they count."""

    cost: float
    seconds: float
    weight: float


class Hinge(NamedTuple):
    """Seconds of a batch by its cost; all three are at least 0."""

    floor_s: float
    slope_s: float
    knee: float

    def t(self, cost: float) -> float:
        """Seconds of a batch of this cost."""
        return self.floor_s + self.slope_s * (cost - self.knee) if cost > self.knee else self.floor_s

    @property
    def efficient_cost(self) -> float:
        """Least cost with `FLAT_SHARE` of the throughput that no size exceeds; infinite if only the floor was seen."""
        if self.slope_s <= 0:
            return float("inf")
        # From P / t(P) = FLAT_SHARE / slope; a floor lower than the slope up to the knee has its best at the knee.
        return max(FLAT_SHARE / (1 - FLAT_SHARE) * (self.floor_s / self.slope_s - self.knee), self.knee)


class _Sums(NamedTuple):
    """Sums over points for least squares of relative errors: every weight is divided by the time squared."""

    w: float = 0.0
    p: float = 0.0
    pp: float = 0.0
    y: float = 0.0
    py: float = 0.0

    def plus(self, point: Point) -> "_Sums":
        """The sums with one more point."""
        cost, seconds, weight = point
        w = weight / (seconds * seconds)
        return _Sums(
            self.w + w,
            self.p + w * cost,
            self.pp + w * cost * cost,
            self.y + w * seconds,
            self.py + w * cost * seconds,
        )


def fit(points: Sequence[Point]) -> Hinge:
    """The hinge with the least weighted squares of relative errors, its knee at one of the points or at 0.

    `points` are at least one, with positive finite values. One cost alone gives a line through 0 after a knee there:
    larger batches are expected to take in proportion, smaller ones as long.
    """
    points = sorted(points)
    # From the end: sums over the points that lie at or beyond each one.
    beyond = list(accumulate(reversed(points), _Sums.plus, initial=_Sums()))[:0:-1]
    best = min(_candidates(points, beyond), default=None)
    if best is not None:
        return best[1]
    cost, seconds, _ = points[-1]
    return Hinge(seconds, seconds / cost, cost)


def _candidates(points: Sequence[Point], beyond: Sequence[_Sums]) -> Iterator[tuple[float, Hinge]]:
    """Fits for a knee at 0 and at up to `KNEES` of the points, each led by its error."""
    if (line := _solve(0.0, beyond[0], beyond[0])) is not None:
        yield line
    inner = range(1, len(points) - 1)
    for i in inner[:: max(1, -(-len(inner) // KNEES))]:
        if (bent := _solve(points[i].cost, beyond[0], beyond[i])) is not None:
            yield bent


def _solve(knee: float, every: _Sums, beyond: _Sums) -> tuple[float, Hinge] | None:
    """Floor and slope for one knee, None if these points give none that is possible."""
    x = beyond.p - knee * beyond.w
    xx = beyond.pp - knee * (2 * beyond.p - knee * beyond.w)
    xy = beyond.py - knee * beyond.y
    spread = every.w * xx - x * x
    if spread <= _LEAST_SPREAD * every.w * beyond.pp:
        return None
    slope = max((every.w * xy - x * every.y) / spread, 0.0)
    floor = (every.y - slope * x) / every.w
    if floor < 0 and knee == 0:
        floor, slope = 0.0, xy / xx
    if floor < 0 or (floor == 0 and knee > 0):
        return None
    # Without its constant part, which is the same for every knee.
    error = floor * (floor * every.w + 2 * slope * x - 2 * every.y) + slope * (slope * xx - 2 * xy)
    return error, Hinge(floor, slope, knee)
