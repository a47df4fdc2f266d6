"""The fluid engine: jobs are a liquid, time goes in steps, and hundreds of systems run side by side, one per column.

Fourteen days take seconds. What it leaves out (single jobs, batches, their order) is in `events`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scheduler.forecast_models import Array
from scheduler.forecaster import level_tau_s
from scheduler.meters import smoothed
from scheduler.pool_scaler import Bounds, PoolScaler
from scheduler.rules import PoolLoad
from scheduler.simulation.arrivals import STEP_S


class Plant(NamedTuple):
    """What workers are: how long they take to start, and how much one does."""

    cold_start_s: float
    #: Jobs a second of one worker.
    mu: float = 2.0
    #: Jobs that have waited longer are late.
    objective_s: float = 30.0
    window_s: float = 900.0
    most: int = 60
    least: int = 0


class Outcome(NamedTuple):
    """What happened, one entry for each column."""

    jobs: Array
    late: Array
    #: Seconds of workers, from the moment they are asked for.
    worker_s: Array
    starts: Array
    #: How often the number began to fall after rising, or to rise after falling.
    turns: Array
    #: Rows are steps.
    alive: NDArray[np.int32]
    ready: NDArray[np.int32]
    backlog: NDArray[np.float32]

    @property
    def attainment(self) -> Array:
        """Share of the jobs that waited no longer than the objective."""
        return 1 - self.late / self.jobs


def simulate(counts: Array, scaler: PoolScaler, plant: Plant) -> Outcome:
    """Let jobs flow.

    Args:
        counts: jobs of each step (row) and system (column).
        scaler: decides at each step for all columns.
        plant: of all of them.
    """
    return _Flow(counts, scaler, plant).run()


class _Flow:
    def __init__(self, counts: Array, scaler: PoolScaler, plant: Plant) -> None:
        self._counts, self._scaler, self._plant = counts, scaler, plant
        self._steps, self._columns = counts.shape
        one = np.ones(self._columns)
        self._tau_s = level_tau_s(plant.cold_start_s, plant.objective_s, plant.window_s)
        self._cold_s, self._objective_s = one * plant.cold_start_s, one * plant.objective_s
        self._bounds = Bounds(one * plant.least, one * plant.most, one * plant.window_s)
        # As if it had gone on like this before.
        self._level = counts[:40].mean(axis=0) / STEP_S / plant.mu
        self._ready = np.ceil(self._level / 0.8)
        self._starting = np.zeros((max(1, round(plant.cold_start_s / STEP_S)), self._columns))
        self._backlog = np.zeros(self._columns)
        self._held = np.zeros(self._columns)
        self._alive_at = np.zeros((self._steps, self._columns), np.int32)
        self._ready_at = np.zeros((self._steps, self._columns), np.int32)
        self._backlog_at = np.zeros((self._steps, self._columns), np.float32)
        self._worker_s, self._starts = np.zeros(self._columns), np.zeros(self._columns)
        self._late = LateMeter(self._columns, objective_s=plant.objective_s)

    def run(self) -> Outcome:
        for step in range(self._steps):
            came = self._counts[step - 1] if step else self._level * STEP_S * self._plant.mu
            self._order(self._decide(came / STEP_S / self._plant.mu, step * STEP_S))
            alive = self._ready + self._starting.sum(axis=0)
            self._worker_s += alive * STEP_S
            self._alive_at[step], self._ready_at[step] = alive, self._ready
            self._serve(self._counts[step])
            self._backlog_at[step] = self._backlog
        return Outcome(
            jobs=self._counts.sum(axis=0),
            late=self._late.finish(),
            worker_s=self._worker_s,
            starts=self._starts,
            turns=turns_of(self._alive_at),
            alive=self._alive_at,
            ready=self._ready_at,
            backlog=self._backlog_at,
        )

    def _decide(self, arriving: Array, now: float) -> Array:
        plant = self._plant
        self._level = smoothed(self._level, arriving, STEP_S, self._tau_s)
        left = plant.cold_start_s - STEP_S * np.arange(1, len(self._starting) + 1)
        outlook = self._scaler.outlook(arriving, self._level, self._cold_s, self._objective_s, now)
        load = PoolLoad(
            waiting=self._backlog,
            held=self._held,
            backlog_s=self._backlog / plant.mu,
            level=self._level,
            planned=outlook.planned,
            growing=outlook.growing,
            ready=self._ready,
            coming=self._starting.sum(axis=0),
            done_s=plant.cold_start_s * self._ready + left @ self._starting,
            cold_start_s=self._cold_s,
            objective_s=self._objective_s,
        )
        return self._scaler.counts(self._scaler.fractions(load, now), load, self._bounds, now).workers

    def _order(self, wanted: Array) -> None:
        """Start what is missing; give up the youngest of what is too much."""
        coming = self._starting.sum(axis=0)
        more = np.maximum(wanted - self._ready - coming, 0)
        may_come = np.maximum(wanted - self._ready, 0)
        oldest_first = np.minimum(np.cumsum(self._starting, axis=0), may_come)
        self._starting = np.diff(oldest_first, axis=0, prepend=0.0)
        self._starting[-1] += more
        self._starts += more
        self._ready = np.minimum(self._ready, wanted)

    def _serve(self, came: Array) -> None:
        present, able = self._backlog + came, self._ready * self._plant.mu * STEP_S
        done = np.minimum(present, able)
        self._backlog = present - done
        self._late.add(came, done)
        self._held = np.where(able > 0, self._ready * done / np.maximum(able, 1e-9), 0.0)
        self._ready = self._ready + self._starting[0]
        self._starting = np.vstack((self._starting[1:], np.zeros(self._columns)))


class LateMeter:
    """How many jobs waited too long, first in, first out; within a step they come and go evenly."""

    def __init__(self, columns: int, *, objective_s: float) -> None:
        self._lag = round(objective_s / STEP_S)
        self._came = [np.zeros(columns)]
        self._done = np.zeros(columns)
        self._margin = np.zeros(columns)
        self._late = np.zeros(columns)
        self._jobs: list[Array] = []

    def add(self, came: Array, done: Array) -> None:
        """One step."""
        self._came.append(self._came[-1] + came)
        self._jobs.append(came)
        self._done = self._done + done
        if len(self._jobs) == self._lag:
            # The first job of all: what is done by the time that it may be done at the latest.
            self._margin = self._done
        if len(self._jobs) > self._lag:
            self._settle(self._jobs.pop(0))

    def finish(self) -> Array:
        """Late jobs of all; those of the last steps are late if they still wait."""
        for jobs in self._jobs:
            self._settle(jobs)
        return self._late

    def _settle(self, jobs: Array) -> None:
        """The jobs of one step whose time is up: what was done by now, less what had come by then."""
        before, margin = self._margin, self._done - self._came[1]
        self._came.pop(0)
        # On time while the margin is not negative; it is taken to go straight from one end of the step to the other.
        low, high = np.minimum(before, margin), np.maximum(before, margin)
        share = np.where(high <= low, (low < 0).astype(float), np.clip(-low / np.maximum(high - low, 1e-9), 0, 1))
        self._late += jobs * share
        self._margin = margin


def turns_of(alive: NDArray[np.int32]) -> Array:
    """How often each column changes direction."""
    turns = np.zeros(alive.shape[1])
    for column in range(alive.shape[1]):
        steps = np.diff(alive[:, column])
        signs = np.sign(steps[steps != 0])
        turns[column] = np.count_nonzero(signs[1:] != signs[:-1])
    return turns
