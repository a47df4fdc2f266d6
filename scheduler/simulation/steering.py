"""Steering: what an engine asks the scaler at each step, for all of its systems at once."""

from typing import NamedTuple

import numpy as np

from scheduler.forecast_models import Array
from scheduler.forecaster import level_tau_s
from scheduler.meters import smoothed
from scheduler.pool_scaler import Bounds, PoolScaler
from scheduler.rules import PoolLoad
from scheduler.simulation.arrivals import STEP_S
from scheduler.simulation.plant import Plant


class Seen(NamedTuple):
    """How systems are at one moment; the names mean what they do in `PoolLoad`."""

    waiting: Array
    held: Array
    backlog_s: Array
    ready: Array
    coming: Array
    done_s: Array


class Steering:
    """Knows what came in each step, and remembers the level of it.

    Args:
        counts: jobs of each step (row) and system (column).
        scaler: decides.
        plant: of all of them.
    """

    def __init__(self, counts: Array, scaler: PoolScaler, plant: Plant) -> None:
        one = np.ones(counts.shape[1])
        self._counts, self._scaler, self._mu = counts, scaler, plant.mu
        self._tau_s = level_tau_s(plant.cold_start_s, plant.objective_s, plant.window_s)
        self._cold_s, self._objective_s = one * plant.cold_start_s, one * plant.objective_s
        self._bounds = Bounds(one * plant.least, one * plant.most, one * plant.window_s)
        # As if it had gone on like this before.
        self._level = counts[:40].mean(axis=0) / STEP_S / plant.mu

    @property
    def first_workers(self) -> Array:
        """How many there are at the beginning."""
        return np.asarray(np.ceil(self._level / 0.8))

    def decide(self, step: int, seen: Seen) -> Array:
        """How many workers there should be, at the beginning of a step."""
        now = step * STEP_S
        arriving = self._counts[step - 1] / STEP_S / self._mu if step else self._level
        self._level = smoothed(self._level, arriving, STEP_S, self._tau_s)
        outlook = self._scaler.outlook(arriving, self._level, self._cold_s, self._objective_s, now)
        load = PoolLoad(
            **seen._asdict(),
            level=self._level,
            planned=outlook.planned,
            growing=outlook.growing,
            cold_start_s=self._cold_s,
            objective_s=self._objective_s,
        )
        return self._scaler.counts(self._scaler.fractions(load, now), load, self._bounds, now).workers
