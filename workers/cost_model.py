"""Cost model: how long a batch of a model version takes on this device, learned from those that ran. Pure.

Batches are gathered in classes of about equal cost, four to a doubling, each with its mean cost and time; a hinge is
fitted to the classes when somebody asks. A class that has not been seen for a while counts less, but never nothing: a
worker that has run full batches for an hour still knows what a small one takes.
"""

import json
import math
from typing import Any, NamedTuple, Self

from workers.batch_size import AROUND_S, BatchSize
from workers.hinge import Hinge, Point, fit

#: Passes after a load that are not learned from: they pay for what happens once.
WARM_UP = 2
#: The hinge is trusted after so many batches in so many classes of cost.
_BATCHES, _CLASSES = 8, 3
_CLASSES_PER_DOUBLING = 4
#: Weight that remains of a batch after another one.
_FORGET = 0.99
#: Weight that remains of a class however long it was not seen.
_REMAINS = 0.05
#: The upper bound lies so many standard deviations above the expectation.
_DEVIATIONS = 3.0
#: Batches of a class do clearly less a second than the best if they need so many times its time for the same cost.
_CLEARLY_WORSE = 1.1
#: Batches of a class before it is compared with others.
_COMPARABLE = 2
#: Every so many batches the ceiling is ignored, so that one bad measurement does not decide for ever.
_LOOK_BEYOND = 50
#: Relative deviation while nothing better is known.
_UNKNOWN_DEVIATION = 0.25
#: That counts as much as so many batches.
_PRIOR = 4
#: A batch counts as at most so many times longer than expected.
_STALL = 3.0
#: Batches are believed to cost and to take no more or less than this; anything else is a broken `cost` or clock.
LEAST_COST = 1e-6
_COSTS, _SECONDS = (LEAST_COST, 1e12), (1e-9, 1e6)


class _Class(NamedTuple):
    """Batches of about the same cost. `seen` is the number of the batch that was the last of them."""

    cost: float
    seconds: float
    batches: float
    seen: int


class CostModel:
    """Time of a pass by its padded cost: items times the largest item's cost."""

    def __init__(self) -> None:
        #: Which number of equal items is best, for models whose items all cost the same.
        self.sizes = BatchSize()
        self._classes: dict[int, _Class] = {}
        self._seen = 0
        self._to_drop = WARM_UP
        self._variance = _UNKNOWN_DEVIATION**2
        self._judged = 0
        self._hinge = Hinge(0.0, 0.0, 0.0)
        self._ceiling = math.inf
        self._refit_at = 1

    def observe(self, cost: float, items: int, took_s: float) -> None:
        """Learn from a pass over `items` items of padded cost `cost` that ran without incident."""
        if self._to_drop > 0:
            self._to_drop -= 1
            return
        if items < 1 or not (math.isfinite(cost) and math.isfinite(took_s)):
            return
        cost, took_s = _within(cost, _COSTS), _within(took_s, _SECONDS)
        if self.known:
            self._learn_deviation(took_s / self.t(cost) - 1)
        self._seen += 1
        index = _class_of(cost)
        mean, seconds, batches, seen = self._classes.get(index, (cost, took_s, 0.0, self._seen))
        batches = 1 + batches * _FORGET ** (self._seen - seen)
        mean, seconds = mean + (cost - mean) / batches, seconds + (took_s - seconds) / batches
        self._classes[index] = _Class(mean, seconds, batches, self._seen)
        if cost == items:
            self.sizes.observe(items, took_s)

    @property
    def known(self) -> bool:
        """Whether the hinge can be trusted; until then `t` is a guess from what has been seen."""
        return self._seen >= _BATCHES and len(self._classes) >= _CLASSES

    def t(self, cost: float) -> float:
        """Expected seconds of a batch of this padded cost; 0 while nothing has been seen."""
        return self.hinge.t(cost)

    def t_hi(self, cost: float) -> float:
        """Seconds that a batch of this padded cost hardly ever exceeds; 0 while nothing has been seen."""
        return self.t(cost) * (1 + _DEVIATIONS * math.sqrt(self._variance))

    @property
    def efficient_cost(self) -> float:
        """Padded cost from which larger batches hardly do more a second; infinite while that is not known."""
        return self._hinge.efficient_cost if self.known and self.t(1.0) else math.inf

    @property
    def hinge(self) -> Hinge:
        """What `t` follows; for callers that ask it often between two batches."""
        if self._seen >= self._refit_at:
            self._fit()
        return self._hinge

    @property
    def ceiling(self) -> float:
        """Padded cost beyond which batches clearly did less a second, as when caches overflow; infinite if none did."""
        return self._ceiling if self.known and self._seen % _LOOK_BEYOND else math.inf

    def to_bytes(self) -> bytes:
        """What has been learned, as a few hundred bytes of JSON for another worker with the same device."""
        classes = [[row.cost, row.seconds, row.batches, row.seen - self._seen] for row in self._classes.values()]
        state = {"classes": classes, "deviation": math.sqrt(self._variance), "sizes": self.sizes.to_state()}
        return json.dumps(state, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """A model that has learned what `data` says; whatever cannot be read counts as nothing learned."""
        learned = cls()
        try:
            learned._restore(json.loads(data))
        except (ValueError, TypeError, LookupError, OverflowError):
            return cls()
        return learned

    def _learn_deviation(self, error: float) -> None:
        self._judged += 1
        follow = max(1 / (_PRIOR + self._judged), 1 - _FORGET)
        # A stall of many times the expected length says no more than one of a few times.
        self._variance += follow * (min(error, _STALL) ** 2 - self._variance)

    def _fit(self) -> None:
        """Fit anew; after many batches one more changes little, so not after each."""
        points = [
            Point(row.cost, row.seconds, row.batches * max(_FORGET ** (self._seen - row.seen), _REMAINS))
            for row in self._classes.values()
        ]
        self._hinge = fit(points)
        self._ceiling = self._find_ceiling()
        self._refit_at = self._seen + min(1 + self._seen // 8, 16)

    def _find_ceiling(self) -> float:
        """The end of the largest class that is not clearly worse than the best, if there are worse ones beyond it."""
        seen = {
            i: (row.seconds + AROUND_S) / row.cost for i, row in self._classes.items() if row.batches > _COMPARABLE - 1
        }
        best = min(seen.values(), default=0.0)
        largest = max((i for i, each_s in seen.items() if each_s <= _CLEARLY_WORSE * best), default=0)
        return 2.0 ** ((largest + 1) / _CLASSES_PER_DOUBLING) if any(i > largest for i in seen) else math.inf

    def _restore(self, state: Any) -> None:
        rows = [_Class(float(row[0]), float(row[1]), float(row[2]), int(row[3])) for row in state["classes"]]
        deviation = float(state["deviation"])
        if not all(_plausible(row) for row in rows) or not 0 <= deviation < math.inf:
            raise ValueError(state)
        self.sizes.restore(state["sizes"])
        self._variance = deviation**2
        self._seen = max(_BATCHES, *(-row.seen for row in rows)) if rows else 0
        self._classes = {_class_of(row.cost): row._replace(seen=self._seen + row.seen) for row in rows}


def _class_of(cost: float) -> int:
    return math.floor(_CLASSES_PER_DOUBLING * math.log2(cost))


def _plausible(row: _Class) -> bool:
    in_range = _within(row.cost, _COSTS) == row.cost and _within(row.seconds, _SECONDS) == row.seconds
    return in_range and 0 < row.batches < math.inf and row.seen <= 0


def _within(value: float, bounds: tuple[float, float]) -> float:
    return min(max(value, bounds[0]), bounds[1])
