"""LevelErrors: what came within the horizon, held against what the level had said of it. Pure; a column for each pool.

The level takes what arrives now to go on. Where one burst follows the other that is wrong: a level that is high will
fall, one that is low will rise. So the mean of an hour is judged beside it, and heard in its place as long as it does
better.
"""

import numpy as np
from numpy.typing import NDArray

from scheduler.forecast_models import Array
from scheduler.quantiles import LEAST_SAMPLES, pinball_loss, quantile_of

#: The level is looked at so often, and its errors are remembered for so long.
SAMPLE_S = 60.0
_SAMPLES = 240
#: Over what time the mean is taken that errors are measured by.
_HOUR_S = 3600.0
#: The forecasts are judged again after so many samples.
_JUDGE_EVERY = 5
#: By how much the mean of an hour must be the better forecast, in parts of itself. It sees no ramp: what little it
#: saves where the level only trembles is not worth that.
MUST_SAVE = 0.05
#: More than this is not believed to go on.
MOST_GROWTH = 3.0
_LEAST = 1e-9


class LevelErrors:
    """How much more came within the horizon than was expected, in parts of the mean of an hour; of four hours."""

    def __init__(self, pools: int) -> None:
        self._columns = np.arange(pools)
        self._at = np.zeros(_SAMPLES)
        self._came, self._levels, self._hours = (np.zeros((_SAMPLES, pools)) for _ in range(3))
        #: Of the level, and of the mean of an hour.
        self._errors = np.full((2, _SAMPLES, pools), np.nan)
        self._count = 0
        self._before: Array = np.full(pools, np.inf)
        self._hour: Array = np.zeros(pools)
        self._error: Array = np.zeros(pools)
        self._hour_is_better: NDArray[np.bool_] = np.zeros(pools, dtype=bool)
        #: Which of the two is heard.
        self.names: tuple[str, ...] = ("level",) * pools

    def add(self, came: Array, level: Array, horizon: NDArray[np.int_], quantile: Array, now: float) -> None:
        """Note one sample; `came` is all work since the beginning, `horizon` is in samples."""
        row, horizon = self._count % _SAMPLES, np.clip(horizon, 1, _SAMPLES - 1)
        arrived = (came - self._came[row - 1]) / (now - self._at[row - 1]) if self._count else level
        # The plain mean until an hour has passed.
        self._hour = self._hour + max(SAMPLE_S / _HOUR_S, 1 / (self._count + 1)) * (arrived - self._hour)
        self._at[row], self._came[row], self._levels[row], self._hours[row] = now, came, level, self._hour
        if self._count:
            self._compare(row, horizon)
        self._count += 1
        if self._count % _JUDGE_EVERY == 0:
            self._judge(quantile)

    def _compare(self, row: int, horizon: NDArray[np.int_]) -> None:
        """Hold what came since one horizon ago against what both said then."""
        before = (self._count - horizon) % _SAMPLES, self._columns
        level, hour = self._levels[before], self._hours[before]
        seconds = self._at[row] - self._at[before[0]]
        is_known = (self._count >= horizon) & (level > _LEAST)
        rate = (self._came[row] - self._came[before]) / np.where(is_known, seconds, 1.0)
        self._before = np.where(is_known, level, np.inf)
        over = np.stack((rate - level, rate - hour)) / np.maximum(hour, _LEAST)
        self._errors[:, row] = np.where(is_known, over, np.nan)

    def _judge(self, quantile: Array) -> None:
        margins = [np.maximum(0.0, quantile_of(errors, quantile, unknown=0.0)) for errors in self._errors]
        of_level, of_hour = (
            pinball_loss(errors - margin, quantile, least=LEAST_SAMPLES)
            for errors, margin in zip(self._errors, margins, strict=True)
        )
        self._hour_is_better = of_hour < of_level - MUST_SAVE
        self._error = np.where(self._hour_is_better, margins[1], margins[0])
        self.names = tuple("hour" if is_better else "level" for is_better in self._hour_is_better)

    @property
    def margin(self) -> Array:
        """What to add to what is expected, at least 0."""
        return self._error * self._hour

    def expected(self, level: Array) -> Array:
        """What will arrive each second within the horizon: what arrives now, or what did within an hour."""
        return np.where(self._hour_is_better, self._hour, level)

    def growth(self, level: Array) -> Array:
        """The level now over that of one horizon ago, at least 1 and at most `MOST_GROWTH`."""
        return np.clip(level / self._before, 1.0, MOST_GROWTH)
