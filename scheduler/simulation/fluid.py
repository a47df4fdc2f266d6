"""The fluid engine: jobs are a liquid, time goes in steps, and hundreds of systems run side by side, one per column.

Fourteen days take seconds. What it leaves out (single jobs, batches, their order) is in `events`.
"""

import numpy as np

from scheduler.forecast_models import Array
from scheduler.pool_scaler import PoolScaler
from scheduler.simulation.arrivals import STEP_S
from scheduler.simulation.plant import Outcome, Plant, turns_of
from scheduler.simulation.steering import Seen, Steering


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
        self._counts, self._plant = counts, plant
        self._steps, self._columns = counts.shape
        self._steering = Steering(counts, scaler, plant)
        self._ready = self._steering.first_workers
        self._starting = np.zeros((max(1, round(plant.cold_start_s / STEP_S)), self._columns))
        self._backlog = np.zeros(self._columns)
        self._held = np.zeros(self._columns)
        self._alive_at = np.zeros((self._steps, self._columns), np.int32)
        self._ready_at = np.zeros((self._steps, self._columns), np.int32)
        self._backlog_at = np.zeros((self._steps, self._columns), np.float32)
        self._worker_s, self._starts = np.zeros(self._columns), np.zeros(self._columns)
        self._waited_s = np.zeros(self._columns)
        self._late = LateMeter(self._columns, objective_s=plant.objective_s)

    def run(self) -> Outcome:
        for step in range(self._steps):
            self._order(self._steering.decide(step, self._see()))
            alive = self._ready + self._starting.sum(axis=0)
            self._worker_s += alive * STEP_S
            self._alive_at[step], self._ready_at[step] = alive, self._ready
            self._serve(self._counts[step])
            self._backlog_at[step] = self._backlog
        return Outcome(
            jobs=self._counts.sum(axis=0),
            late=self._late.finish(),
            waited_s=self._waited_s,
            worker_s=self._worker_s,
            starts=self._starts,
            turns=turns_of(self._alive_at),
            alive=self._alive_at,
            ready=self._ready_at,
            backlog=self._backlog_at,
        )

    def _see(self) -> Seen:
        cold_s = self._plant.cold_start_s
        left = cold_s - STEP_S * np.arange(1, len(self._starting) + 1)
        return Seen(
            waiting=self._backlog,
            held=self._held,
            backlog_s=self._backlog / self._plant.mu,
            ready=self._ready,
            coming=self._starting.sum(axis=0),
            done_s=cold_s * self._ready + left @ self._starting,
        )

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
        # By Little's law: what waits, over time, is the sum of all waits.
        self._waited_s += (self._backlog + present - done) / 2 * STEP_S
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
