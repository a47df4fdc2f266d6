"""Crew: simulated workers. Which jobs run together is decided by the batcher of the real ones, from what it learns."""

import math
from collections.abc import Sequence
from itertools import groupby
from random import Random
from typing import NamedTuple

from headrace.model_ref import ModelRef
from headrace.tiers import Tier
from scheduler.simulation.events.queues import Job
from workers.batcher import Batch, Batcher, Limits, WaitingJob
from workers.cost_model import CostModel

_RANK = {tier: rank for rank, tier in enumerate(Tier)}
#: Standard deviation of a pass, relative to its length, and what a pass takes at least.
_NOISE, _LEAST = 0.05, 0.5


class Speed(NamedTuple):
    """How long a pass of a model version takes on a worker class: a part that is always there, and one for each job."""

    fixed_s: float
    each_s: float
    max_batch: int

    @classmethod
    def of_rate(cls, per_s: float, *, max_batch: int, fixed_share: float = 0.5) -> "Speed":
        """So many jobs each second in full batches, of whose time a share does not depend on the number of jobs."""
        full_s = max_batch / per_s
        return cls(fixed_share * full_s, (1 - fixed_share) / per_s, max_batch)

    def pass_s(self, jobs: int) -> float:
        """Seconds, on average."""
        return self.fixed_s + self.each_s * jobs


class Pace:
    """How fast one worker class is, and what its workers have learned of it: they share it, as real ones do."""

    def __init__(self, speeds: dict[ModelRef, Speed], random: Random) -> None:
        self._random = random
        self._speeds = {str(ref): speed for ref, speed in speeds.items()}
        self.limits = {ref: Limits(CostModel(), max_batch=speed.max_batch) for ref, speed in self._speeds.items()}
        self.window = max(speed.max_batch for speed in self._speeds.values())
        #: A pass with few jobs says only what a job costs at most.
        self._least_s: dict[str, float] = {}

    def run(self, batch: Batch) -> float:
        """How long this pass takes, which is learned from."""
        jobs = len(batch.jobs)
        took_s = self._speeds[batch.ref].pass_s(jobs) * max(_LEAST, self._random.gauss(1.0, _NOISE))
        self.limits[batch.ref].costs.observe(float(jobs), jobs, took_s)
        self._least_s[batch.ref] = min(self._least_s.get(batch.ref, math.inf), took_s / jobs)
        return took_s

    def job_s(self) -> dict[str, float]:
        """Seconds of each version's job in a full pass, as far as passes have shown."""
        return {ref: self._full(ref, least_s) for ref, least_s in self._least_s.items()}

    def pass_s(self) -> float:
        """Seconds of the longest full pass; 0 before the first."""
        return max((job_s * self.limits[ref].max_batch for ref, job_s in self.job_s().items()), default=0.0)

    def _full(self, ref: str, least_s: float) -> float:
        costs, most = self.limits[ref].costs, self.limits[ref].max_batch
        return costs.t(most) / most if costs.known else least_s


class Worker:
    """One worker. It has at most one batch under way, and holds what the batcher left of a claim."""

    def __init__(self, *, kind: str, groups: Sequence[str], pace: Pace, started_s: float, ready_s: float) -> None:
        self.kind = kind
        #: What it claims from.
        self.groups = groups
        self.started_s, self.ready_s, self.ended_s = started_s, ready_s, math.inf
        self.is_draining = False
        #: True once it was told that its machine goes.
        self.is_taken = False
        #: Under way, and since when.
        self.running: list[Job] = []
        self.began_s = 0.0
        #: Passes so far: tells whether one that was planned is still the one under way.
        self.passes = 0
        self._pace = pace
        self._batcher = Batcher()
        self._staged: dict[int, Job] = {}

    @property
    def room(self) -> int:
        """How many jobs it should claim when it is free."""
        return self._pace.window - len(self._staged)

    @property
    def held(self) -> list[Job]:
        """What it has leased."""
        return [*self.running, *self._staged.values()]

    def stage(self, jobs: Sequence[Job], now: float) -> None:
        """Take what was claimed."""
        for ref, some in groupby(jobs, key=lambda job: job.ref):
            mine = list(some)
            self._staged.update((job.number, job) for job in mine)
            waiting = [WaitingJob(job.number, b"", _RANK[job.tier], job.deadline_s) for job in mine]
            self._batcher.add(str(ref), waiting, now=now)

    def begin(self, now: float) -> float | None:
        """Begin the next pass; answers how long it takes, None if there is nothing to run."""
        batch = self._batcher.next_batch(now, self._pace.limits)
        if not isinstance(batch, Batch):
            return None
        self.running, self.began_s = [self._staged.pop(job.slot) for job in batch.jobs], now
        self.passes += 1
        return self._pace.run(batch)

    def finish(self) -> list[Job]:
        """The pass is over; answers its jobs."""
        done, self.running = self.running, []
        return done

    def give_back(self, *, also_running: bool = False) -> list[Job]:
        """Let go of what is staged, and of what runs if that is to be broken off."""
        given = [*self._staged.values(), *(self.running if also_running else ())]
        self._batcher.clear()
        self._staged.clear()
        if also_running:
            self.running = []
        return given
