"""PoolScaler: from the load of pools to whole numbers of workers that do not swing. Pure.

The scheduler runs one with a pool for each worker class; the simulator runs the same with a pool for each of hundreds
of simulated systems. Each array has one entry for each pool.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scheduler.forecast_models import Array
from scheduler.forecaster import Forecaster, Outlook, quantile_for
from scheduler.rules import PoolLoad, Rule

#: A worker is not started for less than this part of one's work, except for the first.
SLACK = 0.05
#: A wish counts for so many cold starts at least, whatever the window: a worker costs one to get back.
LEAST_WINDOW = 1.5
#: The last worker is not kept for longer than this, however long a start takes.
_MOST_WARM_S = 900.0


class Bounds(NamedTuple):
    """What a pool may be: the least and the most workers, and how long fewer must have been enough."""

    least: Array
    most: Array
    window_s: Array


class Counts(NamedTuple):
    """How many workers there should be."""

    workers: Array
    #: What would do: the most that was wanted within the window.
    needed: Array
    #: What the present load alone asks for, within the bounds.
    wanted: Array
    #: When so many were wanted as would do.
    wanted_at: Array
    #: How long a wish counts.
    window_s: Array
    #: How long the last worker is kept without one, and where it is.
    warm_s: Array
    is_warm: NDArray[np.bool_]


class PoolScaler:
    """Starts workers as soon as the rule asks for them, gives them up when a window has passed without need.

    Args:
        pools: how many.
        rule: turns load into workers.
        forecaster: says what arrives until a new worker is ready.
    """

    def __init__(self, *, pools: int, rule: Rule, forecaster: Forecaster) -> None:
        self._pools = pools
        self._rule = rule
        self._forecaster = forecaster
        self._at = np.zeros(0)
        self._wishes = np.zeros((0, pools))
        self._is_new = True
        #: What was asked for last, None before the first time.
        self._last: Array | None = None
        self._forecasts: tuple[str, ...] = ()

    def forget(self) -> None:
        """Somebody else decided meanwhile: what is there now is kept for one window."""
        self._at, self._wishes, self._is_new = np.zeros(0), np.zeros((0, self._pools)), True
        self._last = None

    @property
    def forecasts(self) -> tuple[str, ...]:
        """Which model was heard last, for each pool."""
        return self._forecasts

    def outlook(self, arrived: Array, level: Array, cold_start_s: Array, objective_s: Array, now: float) -> Outlook:
        """Work each second to plan for; `arrived` is that since the last look, `level` its moving mean."""
        quantile = quantile_for(cold_start_s, objective_s)
        outlook = self._forecaster.update(arrived, level, cold_start_s + objective_s, quantile, now)
        self._forecasts = outlook.models
        return outlook

    def fractions(self, load: PoolLoad, now: float) -> Array:
        """How many workers the rule asks for."""
        return self._rule.workers(load, now)

    def counts(self, fractions: Array, load: PoolLoad, bounds: Bounds, now: float) -> Counts:
        """Whole numbers within the bounds, held over the window."""
        wanted = np.clip(self._whole(fractions, load), bounds.least, bounds.most)
        if self._is_new:
            self._note(np.minimum(load.present, bounds.most), now)
            self._is_new = False
        self._note(wanted, now)
        # Below the time to get a worker back, draining one would be regretted too often.
        window_s = (
            np.maximum(bounds.window_s, LEAST_WINDOW * load.cold_start_s)
            if self._rule.uses_window
            else np.zeros(self._pools)
        )
        warm_s = np.minimum(self._rule.warm_starts * load.cold_start_s, _MOST_WARM_S)
        self._prune(now - float(np.maximum(window_s, warm_s).max()))
        in_window = self._at[:, np.newaxis] > now - window_s
        in_window[-1] = True
        counting = np.where(in_window, self._wishes, -1.0)
        first = np.argmax(counting, axis=0)
        held = counting[first, np.arange(self._pools)]
        workers = self._not_for_little(held, load, bounds)
        is_warm = (workers == 0) & (load.present > 0) & self._was_wanted_within(warm_s, workers, now)
        self._last = np.where(is_warm, 1.0, workers)
        return Counts(self._last, held, wanted, self._at[first], window_s, warm_s, is_warm)

    def _was_wanted_within(self, seconds: Array, workers: Array, now: float) -> NDArray[np.bool_]:
        """Where a worker was wanted lately; looked at only if some pool has none."""
        if workers.all():
            return np.zeros(self._pools, dtype=bool)
        wished = (self._wishes > 0) & (self._at[:, np.newaxis] > now - seconds)
        return np.asarray(wished.any(axis=0))

    def _note(self, wishes: Array, now: float) -> None:
        self._at = np.append(self._at, now)
        self._wishes = np.vstack((self._wishes, wishes))

    def _prune(self, since: float) -> None:
        keep = int(np.searchsorted(self._at, since, side="right"))
        keep = min(keep, len(self._at) - 1)
        self._at, self._wishes = self._at[keep:], self._wishes[keep:]

    def _whole(self, fractions: Array, load: PoolLoad) -> Array:
        """Whole numbers of workers: one for any job, and none more for what is in the tolerance."""
        present = load.present
        is_enough = (present <= fractions) & (fractions <= present * (1 + self._rule.tolerances.up))
        least = np.where((load.jobs > 0) & (fractions > 0), 1.0, 0.0)
        return np.where(is_enough, present, np.maximum(least, np.ceil(fractions - SLACK)))

    def _not_for_little(self, held: Array, load: PoolLoad, bounds: Bounds) -> Array:
        """As many as there are, if only a few fewer would do; but the least that may be is always gone down to."""
        present = np.minimum(load.present, bounds.most)
        # Others may have added some, and would do so again, on top of what is asked for here.
        own = present if self._last is None else np.minimum(present, self._last)
        is_little = (held < own) & (held >= own * (1 - self._rule.tolerances.down)) & (held > bounds.least)
        return np.where(is_little, own, held)
