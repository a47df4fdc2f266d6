"""The event engine behind the interface of the fluid one: each column is a site with jobs and batches of its own."""

import math

import numpy as np

from headrace.model_ref import ModelRef
from headrace.worker_class import WorkerClass
from scheduler.forecast_models import Array
from scheduler.pool_scaler import PoolScaler
from scheduler.simulation.arrivals import STEP_S
from scheduler.simulation.events.crew import Speed
from scheduler.simulation.events.queues import Job
from scheduler.simulation.events.site import Site
from scheduler.simulation.plant import Outcome, Plant, turns_of
from scheduler.simulation.steering import Seen, Steering

_KIND, _REF = "workers", ModelRef("model", 1)


def simulate(counts: Array, scaler: PoolScaler, plant: Plant) -> Outcome:
    """Let jobs run.

    Args:
        counts: jobs of each step (row) and system (column); within a step they come at random moments.
        scaler: decides at each step for all columns.
        plant: of all of them.
    """
    return _Events(counts, scaler, plant).run()


class _Events:
    def __init__(self, counts: Array, scaler: PoolScaler, plant: Plant) -> None:
        self._counts, self._plant = counts, plant
        self._steering = Steering(counts, scaler, plant)
        speeds = {_KIND: {_REF: Speed.of_rate(plant.mu, max_batch=plant.max_batch)}}
        kinds = {_KIND: WorkerClass()}
        self._sites = [Site(classes=kinds, speeds=speeds, seed=column) for column in range(counts.shape[1])]
        self._first = self._steering.first_workers
        for column, (site, first) in enumerate(zip(self._sites, self._first, strict=True)):
            site.start(_KIND, int(first), 0.0, cold_start_s=0.0)
            site.submit(jobs_of_steps(counts[:, column], seed=column))
        self._alive_at = np.zeros(counts.shape, np.int32)
        self._ready_at = np.zeros(counts.shape, np.int32)
        self._backlog_at = np.zeros(counts.shape, np.float32)

    def run(self) -> Outcome:
        steps = len(self._counts)
        for step in range(steps):
            now = step * STEP_S
            wanted = self._steering.decide(step, self._see(now))
            for column, site in enumerate(self._sites):
                self._order(site, int(wanted[column]), now)
                staying = site.staying(_KIND)
                self._alive_at[step, column] = len(staying)
                self._ready_at[step, column] = sum(worker.ready_s <= now for worker in staying)
                site.run_until(math.nextafter(now + STEP_S, 0.0))
                self._backlog_at[step, column] = _waiting(site)
        return self._outcome(steps * STEP_S)

    def _see(self, now: float) -> Seen:
        return Seen(*np.array([self._see_site(site, now) for site in self._sites]).T)

    def _see_site(self, site: Site, now: float) -> tuple[float, ...]:
        cold_s, workers = self._plant.cold_start_s, site.staying(_KIND)
        waiting, held = _waiting(site), float(sum(site.held().values()))
        ready = sum(worker.ready_s <= now for worker in workers)
        done_s = sum(cold_s - max(0.0, worker.ready_s - now) for worker in workers)
        return waiting, held, (waiting + held) / self._plant.mu, ready, len(workers) - ready, done_s

    def _order(self, site: Site, wanted: int, now: float) -> None:
        present = len(site.staying(_KIND))
        if wanted < present:
            site.drain(_KIND, present - wanted, now)
        else:
            site.start(_KIND, wanted - present, now, cold_start_s=self._plant.cold_start_s)

    def _outcome(self, until_s: float) -> Outcome:
        jobs = self._counts.sum(axis=0)
        waits_s = [np.array([done.wait_s for done in site.done]) for site in self._sites]
        begun = np.array([len(waits) for waits in waits_s])
        late = np.array([np.count_nonzero(waits > self._plant.objective_s) for waits in waits_s])
        return Outcome(
            jobs=jobs,
            # Like the liquid's: what has not begun at the end is late.
            late=late + np.array([_waiting(site) for site in self._sites]),
            waited_s=np.array([waits.sum() for waits in waits_s]) * jobs / np.maximum(begun, 1),
            worker_s=np.array([site.spent_s(_KIND, until_s) for site in self._sites]),
            starts=np.array([site.starts[_KIND] for site in self._sites], dtype=np.float64)
            - self._steering.first_workers,
            turns=turns_of(self._alive_at),
            alive=self._alive_at,
            ready=self._ready_at,
            backlog=self._backlog_at,
        )


def jobs_of_steps(counts: Array, *, seed: int) -> list[Job]:
    """Jobs of each step, at random moments within it."""
    draw = np.random.default_rng(seed)
    steps = np.repeat(np.arange(len(counts)), counts.astype(int))
    at_s = np.sort((steps + draw.random(len(steps))) * STEP_S)
    return [Job(number, at, _REF) for number, at in enumerate(at_s.tolist())]


def _waiting(site: Site) -> float:
    return float(sum(site.queues.waiting(group) for group in site.queues.arrived))
