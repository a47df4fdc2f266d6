"""Models that say how much work arrives in each of the next bins of time. Pure; one column for each pool.

Each is told the mean of a bin when the bin is over, and can then be asked for any later bin. All of them are a few
lines: see Hyndman and Athanasopoulos, Forecasting: Principles and Practice, chapter 8, for their equations.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_LEAST = 1e-9


class ForecastModel(Protocol):
    """What every model can do."""

    name: str

    def add(self, rate: Array) -> None:
        """Learn the mean rate of the bin that has just ended."""

    def ahead(self, bins: int) -> Array:
        """What is expected so many bins after the last one; NaN where too little is known."""


class Level:
    """An exponentially weighted mean: tomorrow is like today."""

    name = "level"

    def __init__(self, pools: int, *, alpha: float = 0.6) -> None:
        self._alpha = alpha
        self._level = np.full(pools, np.nan)

    def add(self, rate: Array) -> None:
        """Move towards the last bin."""
        known = np.where(np.isnan(self._level), rate, self._level)
        self._level = known + self._alpha * (rate - known)

    def ahead(self, bins: int) -> Array:  # noqa: ARG002 - the same for every bin
        """The level."""
        return self._level


class DampedTrend:
    """Holt's level and trend; the trend fades with the distance."""

    name = "trend"

    def __init__(self, pools: int, *, alpha: float = 0.6, beta: float = 0.1, damping: float = 0.8) -> None:
        self._alpha, self._beta, self._damping = alpha, beta, damping
        self._level, self._trend = np.full(pools, np.nan), np.zeros(pools)

    def add(self, rate: Array) -> None:
        """Correct level and trend by the last bin."""
        known = np.where(np.isnan(self._level), rate, self._level)
        fading = self._damping * self._trend
        level = self._alpha * rate + (1 - self._alpha) * (known + fading)
        self._trend = self._beta * (level - known) + (1 - self._beta) * fading
        self._level = level

    def ahead(self, bins: int) -> Array:
        """Level and what the trend adds until then."""
        reach = sum(self._damping**step for step in range(1, bins + 1))
        return np.maximum(self._level + reach * self._trend, 0.0)


class SeasonalNaive:
    """What it was at this time in the periods before, times how the last bins compare with theirs."""

    name = "seasonal"

    def __init__(self, pools: int, *, period: int, periods: int = 3, recent: int = 12) -> None:
        self._period, self._recent = period, recent
        self._rates = np.full((period * periods, pools), np.nan)
        self._bins = 0

    def add(self, rate: Array) -> None:
        """Keep the last bin."""
        self._rates[self._bins % len(self._rates)] = rate
        self._bins += 1

    def ahead(self, bins: int) -> Array:
        """The mean of that time of the period, scaled by the ratio of now to then."""
        if self._bins < self._period + self._recent:
            return np.full(self._rates.shape[1], np.nan)
        last = self._bins - 1
        recently = self._rates[(last - np.arange(self._recent)) % len(self._rates)].sum(axis=0)
        then = sum((self._usual(last - back) for back in range(self._recent)), start=np.zeros_like(recently))
        return np.asarray(self._usual(last + bins) * recently / np.maximum(then, _LEAST))

    def _usual(self, at: int) -> Array:
        """The mean over the periods before, at the time of one bin."""
        oldest = max(0, self._bins - len(self._rates))
        known = np.arange(at - self._period, oldest - 1, -self._period)
        return np.asarray(self._rates[known % len(self._rates)].mean(axis=0))


class HoltWinters:
    """Level, and a factor for each time of the period."""

    name = "holt-winters"

    def __init__(self, pools: int, *, period: int, alpha: float = 0.3, gamma: float = 0.3) -> None:
        self._period, self._alpha, self._gamma = period, alpha, gamma
        self._first = np.zeros((period, pools))
        self._season: Array | None = None
        self._level = np.zeros(pools)
        self._bins = 0

    def add(self, rate: Array) -> None:
        """The first period sets the factors, later ones correct them."""
        place = self._bins % self._period
        if self._season is None:
            self._first[place] = rate
            if place == self._period - 1:
                mean = np.maximum(self._first.mean(axis=0), _LEAST)
                self._season, self._level = self._first / mean, mean
        else:
            usual = np.maximum(self._season[place], 0.01)
            self._level = self._alpha * rate / usual + (1 - self._alpha) * self._level
            self._season[place] += self._gamma * (rate / np.maximum(self._level, _LEAST) - self._season[place])
        self._bins += 1

    def ahead(self, bins: int) -> Array:
        """The level times the factor of that time."""
        if self._season is None:
            return np.full_like(self._level, np.nan)
        return np.asarray(self._level * self._season[(self._bins - 1 + bins) % self._period])
