"""Site: one simulated system, its queues and its workers. What there should be of them, others decide."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from random import Random
from typing import NamedTuple

from headrace.groups import group_of
from headrace.homes import FREE, Manners
from headrace.model_ref import ModelRef
from headrace.worker_class import WorkerClass
from headrace.worker_fit import serves
from scheduler.simulation.events.agenda import Agenda
from scheduler.simulation.events.crew import Pace, Speed, Worker
from scheduler.simulation.events.queues import Job, Queues


class Done(NamedTuple):
    """A job that was run, in its last pass."""

    job: Job
    began_s: float
    ended_s: float
    #: The class of the worker that ran it.
    kind: str

    @property
    def wait_s(self) -> float:
        """Until its pass began."""
        return self.began_s - self.job.at_s


class Site:
    """Free workers take at once what there is for them, as real ones do; one that has waited longest goes first.

    Args:
        classes: the worker classes.
        speeds: of each class, how fast it runs each model version.
        seed: of the noise of passes.
    """

    def __init__(
        self, *, classes: Mapping[str, WorkerClass], speeds: Mapping[str, Mapping[ModelRef, Speed]], seed: int
    ) -> None:
        self._agenda = Agenda()
        self.queues = Queues()
        self._paces = {name: Pace(dict(speeds[name]), Random(seed)) for name in classes}
        self._groups = {
            name: [group_of(ref, tier) for ref in speeds[name] for tier in kind.tiers if serves(kind, ref.name, tier)]
            for name, kind in classes.items()
        }
        #: What the workers of each class leave to others.
        self._manners = dict.fromkeys(classes, FREE)
        self._idle: dict[str, dict[Worker, None]] = {name: {} for name in classes}
        #: Workers that have not ended, the oldest first.
        self.workers: dict[str, list[Worker]] = {name: [] for name in classes}
        self.done: list[Done] = []
        self.ended: dict[str, int] = {}
        self._spent_s = dict.fromkeys(classes, 0.0)
        self.starts = dict.fromkeys(classes, 0)

    def submit(self, jobs: Iterable[Job]) -> None:
        """Have jobs arrive, each at its time."""
        for job in jobs:
            self._agenda.put(job.at_s, partial(self._arrive, job))

    def run_until(self, now: float) -> None:
        """Let time go on."""
        self._agenda.run_until(now)

    def staying(self, kind: str) -> list[Worker]:
        """Workers of a class that are there to stay, the oldest first."""
        return [worker for worker in self.workers[kind] if not worker.is_draining]

    def machines(self, kind: str) -> int:
        """How many a class has that nobody has announced to take."""
        return sum(not worker.is_taken for worker in self.workers[kind])

    def held(self) -> dict[str, int]:
        """Jobs of each group that workers have leased."""
        counts: Counter[str] = Counter()
        for kind in self.workers:
            counts += self.held_by(kind)
        return counts

    def held_by(self, kind: str) -> Counter[str]:
        """The same, of one class."""
        return Counter(group_of(job.ref, job.tier) for worker in self.workers[kind] for job in worker.held)

    def job_s(self, kind: str) -> dict[str, float]:
        """What the workers of a class have measured: seconds of each version's job."""
        return self._paces[kind].job_s()

    def pass_s(self, kind: str) -> float:
        """How long the longest full pass of a class is expected to take; 0 before the first."""
        return self._paces[kind].pass_s()

    def spent_s(self, kind: str, now: float) -> float:
        """Time of a class's workers, from the moment they were asked for."""
        return self._spent_s[kind] + sum(now - worker.started_s for worker in self.workers[kind])

    def leave_to_others(self, manners: Mapping[str, Manners], now: float) -> None:
        """Have the workers of each class leave so much to others from now on; the idle look again."""
        if manners == self._manners:
            return
        self._manners = dict(manners)
        for idle in self._idle.values():
            for worker in list(idle):
                del idle[worker]
                self._go_on(worker, now)

    # --- the number of workers -----------------------------------------------------------------------------

    def start(self, kind: str, count: int, now: float, *, cold_start_s: float) -> None:
        """Have so many more, which can work after the cold start."""
        self.starts[kind] += count
        for _ in range(count):
            worker = Worker(
                kind=kind,
                groups=self._groups[kind],
                pace=self._paces[kind],
                started_s=now,
                ready_s=now + cold_start_s,
            )
            self.workers[kind].append(worker)
            if cold_start_s > 0:
                self._agenda.put(worker.ready_s, partial(self._go_on, worker))
            else:
                self._go_on(worker, now)

    def drain(self, kind: str, count: int, now: float) -> None:
        """Let so many go when they have finished what they run: the idle first, of these the newest."""
        staying = sorted(self.staying(kind), key=lambda worker: (not worker.running, worker.started_s))
        for worker in staying[len(staying) - count :]:
            worker.is_draining = True
            self._return(worker.give_back(), now)
            if not worker.running:
                self._end(worker, now)

    def take_away(self, kind: str, count: int, now: float, *, notice_s: float) -> None:
        """Take so many machines, after a notice; a pass that it leaves no time for is broken off."""
        for worker in [worker for worker in self.workers[kind] if not worker.is_taken][:count]:
            worker.is_draining = worker.is_taken = True
            self._return(worker.give_back(), now)
            if worker.running:
                self._agenda.put(now + notice_s, partial(self._break_off, worker, worker.passes))
            else:
                self._end(worker, now)

    # --- what happens --------------------------------------------------------------------------------------

    def _arrive(self, job: Job, now: float) -> None:
        self._call(self.queues.arrive(job), now)

    def _call(self, group: str, now: float) -> None:
        """Let somebody who is free take it."""
        divided = {
            kind: self._manners[kind].divide(tuple(self._groups[kind])) for kind, idle in self._idle.items() if idle
        }
        for is_own in (True, False):
            for kind, groups in divided.items():
                if group in (groups.own if is_own else groups.spare):
                    worker = next(iter(self._idle[kind]))
                    del self._idle[kind][worker]
                    self._go_on(worker, now)
                    return

    def _go_on(self, worker: Worker, now: float) -> None:
        """A worker is free: it claims, and runs what the batcher chooses."""
        if worker.is_draining:
            return
        groups = self._manners[worker.kind].divide(tuple(worker.groups))
        claimed = self.queues.claim(groups.own, worker.room) or self.queues.claim(groups.spare, worker.room)
        worker.stage(claimed, now)
        took_s = worker.begin(now)
        if took_s is None:
            self._idle[worker.kind][worker] = None
        else:
            self._agenda.put(now + took_s, partial(self._finish, worker, worker.passes))

    def _finish(self, worker: Worker, number: int, now: float) -> None:
        if worker.ended_s < math.inf or worker.passes != number:
            return
        for job in worker.finish():
            self.done.append(Done(job, worker.began_s, now, worker.kind))
            group = group_of(job.ref, job.tier)
            self.ended[group] = self.ended.get(group, 0) + 1
        if worker.is_draining:
            self._end(worker, now)
        else:
            self._go_on(worker, now)

    def _break_off(self, worker: Worker, number: int, now: float) -> None:
        if worker.ended_s < math.inf or worker.passes != number:
            return
        self._return(worker.give_back(also_running=True), now)
        self._end(worker, now)

    def _return(self, jobs: Iterable[Job], now: float) -> None:
        for job in jobs:
            self.queues.give_back(job)
            self._call(group_of(job.ref, job.tier), now)

    def _end(self, worker: Worker, now: float) -> None:
        worker.ended_s = now
        self._idle[worker.kind].pop(worker, None)
        self.workers[worker.kind].remove(worker)
        self._spent_s[worker.kind] += now - worker.started_s
