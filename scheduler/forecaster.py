"""Forecaster: how much work will arrive while a worker starts, with a margin for how wrong it has been. Pure.

The level (a moving mean of what arrived) is the forecast; its margin is a quantile of how much more really came within
the horizon, in parts of the mean of an hour. It is added: a level that is high by chance is too high already, and to
multiply it would insure against chance twice. Another forecast takes its place only as long as a rolling backtest says
so, by the pinball loss of its own quantiles: the mean of an hour if it was clearly better within four hours, models
that know of trends and of times of the day if they were 5 % better over three days.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scheduler.forecast_models import Array, DampedTrend, ForecastModel, HoltWinters, Level, SeasonalNaive
from scheduler.level_errors import MOST_GROWTH, SAMPLE_S, LevelErrors
from scheduler.quantiles import pinball_loss, quantile_of

#: Bins of the models that know of times of the day, and what a backtest looks back on.
BIN_S = 300.0
_BINS_A_DAY = round(86_400 / BIN_S)
_BACKTEST_BINS = 3 * _BINS_A_DAY
_BACKTEST_EVERY = 12
#: By how much a model must be better than the level.
_MUST_WIN = 0.05
#: How many times the growth of the last horizon is taken to go on, by how sure the forecast must be: the level lags,
#: so that where a start takes long a ramp is steeper than it says.
_GROWTH_BY_QUANTILE = ((0.5, 0.95), (0.0, 1.5))
_LEAST_TAU_S = 10.0
_LEAST = 1e-9


class Outlook(NamedTuple):
    """What is expected to arrive, in seconds of work each second; one entry for each pool."""

    #: The moving mean of now.
    level: Array
    #: What is planned for until a worker that is started now has done its first objective's work.
    planned: Array
    #: The level if it grows on as it did within the last horizon.
    growing: Array
    #: What of that is added for the errors of the forecast, at least 0.
    margin: Array
    #: Which model `planned` is from.
    models: tuple[str, ...]


def level_tau_s(cold_start_s: float, objective_s: float, window_s: float) -> float:
    """Over what time the level is a mean.

    The quicker workers start, the more is left to what waits, and the slower the level may be. With a third of the
    window at most, so that a lull is noticed within one.
    """
    slow_s = 8 * objective_s * math.sqrt(objective_s / max(cold_start_s, objective_s))
    return max(_LEAST_TAU_S, min(slow_s, window_s / 3))


def quantile_for(cold_start_s: Array, objective_s: Array) -> Array:
    """How sure the forecast must be: nothing to insure within the objective, the more the longer a start takes."""
    ratio = cold_start_s / np.maximum(objective_s, _LEAST)
    return np.interp(ratio, (1.0, 3.0, 10.0), (0.5, 0.85, 0.95))


class Forecaster:
    """Learns from what arrives.

    Args:
        pools: how many are forecast at once.
        quantile: of the errors that is insured against; None chooses by cold start and objective.
        seasonal: whether models that know of times of the day may join.
    """

    def __init__(self, *, pools: int, quantile: float | None = None, seasonal: bool = True) -> None:
        self._pools = pools
        self._quantile = quantile
        self._errors = LevelErrors(pools)
        self._contest = Contest(pools) if seasonal else None
        self._came = np.zeros(pools)
        self._last_at: float | None = None
        self._next_sample_at = self._next_bin_at = float("-inf")
        self._binned = np.zeros(pools)

    def update(self, arriving: Array, level: Array, horizon_s: Array, quantile: Array, now: float) -> Outlook:
        """Learn and look ahead.

        Args:
            arriving: work that arrived each second since the last update.
            level: the moving mean of it.
            horizon_s: cold start and objective of each pool.
            quantile: see `quantile_for`; ignored if one was given for good.
            now: monotonic seconds.
        """
        quantile = quantile if self._quantile is None else np.full(self._pools, self._quantile)
        if self._last_at is None:
            self._next_sample_at, self._next_bin_at = now, now + BIN_S
        else:
            self._came = self._came + arriving * (now - self._last_at)
        self._last_at = now
        if now >= self._next_sample_at:
            self._errors.add(self._came, level, np.ceil(horizon_s / SAMPLE_S).astype(int), quantile, now)
            self._next_sample_at = max(self._next_sample_at + SAMPLE_S, now)
        if self._contest and now >= self._next_bin_at:
            self._contest.add((self._came - self._binned) / BIN_S, horizon_s, quantile)
            self._binned, self._next_bin_at = self._came, max(self._next_bin_at + BIN_S, now)
        expected, models = self._errors.expected(level), self._errors.names
        # However it was within the hour, no more than this is planned with when hardly anything arrives.
        planned = np.minimum(expected + self._errors.margin, MOST_GROWTH * level)
        margin = np.maximum(0.0, planned - expected)
        if self._contest and self._contest.has_winner:
            planned, models = self._contest.planned(planned, level, models)
        growth = 1 + np.interp(quantile, *_GROWTH_BY_QUANTILE) * (self._errors.growth(level) - 1)
        return Outlook(level, planned, level * growth, margin, models)


class Contest:
    """Models that forecast in parallel, and which of them may speak."""

    def __init__(self, pools: int) -> None:
        day = _BINS_A_DAY
        self._models: tuple[ForecastModel, ...] = (
            Level(pools),
            DampedTrend(pools),
            SeasonalNaive(pools, period=day),
            HoltWinters(pools, period=day),
        )
        self._said = [np.full((_BACKTEST_BINS, pools), np.nan) for _ in self._models]
        self._rates = np.full((_BACKTEST_BINS, pools), np.nan)
        self._winner = np.zeros(pools, dtype=int)
        self._margins = np.ones((len(self._models), pools))
        self._bins, self._step, self._reach = 0, 1, 2
        self._peaks = np.zeros((len(self._models), pools))
        self.has_winner = False

    def add(self, rate: Array, horizon_s: Array, quantile: Array) -> None:
        """Tell each model what came, and hold what it had said of it against it."""
        horizon = float(horizon_s.max())
        self._step = max(1, round(horizon / BIN_S))
        # A bin more than a whole start and objective: capacity is to be there before what it is for.
        self._reach = 1 + int(np.ceil(2 * horizon / BIN_S))
        row = self._bins % _BACKTEST_BINS
        self._rates[row] = rate
        for model, said in zip(self._models, self._said, strict=True):
            model.add(rate)
            said[(row + self._step) % _BACKTEST_BINS] = model.ahead(self._step)
        self._bins += 1
        if self._bins >= _BINS_A_DAY and self._bins % _BACKTEST_EVERY == 0:
            self._judge(np.maximum(quantile, 0.75))
        if self.has_winner:
            self._look_ahead()

    def _judge(self, quantile: Array) -> None:
        losses = []
        for place, said in enumerate(self._said):
            ratio = self._rates / np.maximum(said, _LEAST)
            self._margins[place] = quantile_of(ratio, quantile, unknown=1.0)
            over = self._rates - said * self._margins[place]
            losses.append(pinball_loss(over, quantile, least=_BINS_A_DAY))
        loss = np.array(losses)
        best = np.argmin(loss, axis=0)
        wins = loss[best, np.arange(len(best))] <= (1 - _MUST_WIN) * loss[0]
        self._winner = np.where(wins, best, 0)
        self.has_winner = bool(self._winner.any())

    def _look_ahead(self) -> None:
        for place, model in enumerate(self._models):
            self._peaks[place] = np.max([model.ahead(step) for step in range(1, self._reach + 1)], axis=0)

    def planned(self, plain: Array, level: Array, names: Sequence[str]) -> tuple[Array, tuple[str, ...]]:
        """The winner's forecast where the level is not the winner, never below the level itself; else `plain`."""
        columns = np.arange(len(plain))
        peak = self._peaks[self._winner, columns] * self._margins[self._winner, columns]
        planned = np.where(self._winner > 0, np.maximum(peak, level), plain)
        heard = zip(self._winner, names, strict=True)
        return planned, tuple(self._models[place].name if place else name for place, name in heard)
