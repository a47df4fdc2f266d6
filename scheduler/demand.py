"""Demand: how many workers of each class the present load asks for, as fractions. Pure.

Per class, in seconds of work (the backlog per instance that SageMaker and others scale by, as it will be when a worker
that is started now is ready):

    steady    arriving / RHO
    backlog   (waiting + held + arriving * C - what ready and coming workers do within the cold start C) / max(S, C)

with S the objective for waiting, and never less than would do if all were ready now. A class is scaled for the tiers
that stand first with it; what another class can do in its spare time, or what is beyond the most workers that it may
have, goes to the other.
"""

import fnmatch
from collections.abc import Mapping
from typing import NamedTuple

from headrace.settings import WorkerClass
from headrace.tiers import Tier
from scheduler.observation import ClassLoad, Observation, QueueLoad

#: Share of a worker's time that is planned with; the rest takes up what averages hide.
RHO = 0.85

_LEAST = 0.001


class Source(NamedTuple):
    """Where work comes from, as far as it decides who may do it."""

    model: str
    tier: Tier


class Demand(NamedTuple):
    """What one class is scaled for."""

    #: Jobs that wait or are held.
    jobs: int = 0
    #: Their work, in seconds.
    backlog_s: float = 0.0
    #: Work that arrives each second.
    arriving: float = 0.0
    #: Each source's share of that work, from 0 to 1.
    shares: Mapping[Source, float] = {}

    def workers(self, load: ClassLoad, objective_s: float) -> float:
        """How many workers keep up with what arrives and are done with the backlog in time."""
        cold_s = load.cold_start_s
        done_s = cold_s * load.ready + cold_s / 2 * load.coming
        # What is late already cannot be saved: no burst of workers is bought for an objective below the cold start.
        within_s, due_s = max(objective_s, cold_s), self.backlog_s + self.arriving * cold_s
        started = self.arriving / RHO + max(0.0, due_s - done_s) / within_s
        # As many would do if they were all ready now. Without it more ready workers would make each burst look smaller
        # than the one before, and the number would swing.
        standing = (self.arriving / RHO * within_s + due_s) / (within_s + cold_s)
        wanted = max(started, standing)
        # As long as there is a job there is somebody to do it, however little it is.
        return max(wanted, _LEAST) if self.jobs else wanted


def serves(kind: WorkerClass, source: Source) -> bool:
    """Tell whether workers of a class take jobs from a source."""
    return source.tier in kind.tiers and any(fnmatch.fnmatchcase(source.model, pattern) for pattern in kind.models)


def home_of(source: Source, classes: Mapping[str, WorkerClass]) -> str | None:
    """The class that is scaled for a source: where its tier stands nearest to the front; the first of equals."""
    serving = [name for name, kind in classes.items() if serves(kind, source)]
    return min(serving, key=lambda name: classes[name].tiers.index(source.tier), default=None)


def demands(seen: Observation, classes: Mapping[str, WorkerClass]) -> dict[str, Demand]:
    """What each class is scaled for."""
    homes: dict[str, list[QueueLoad]] = {name: [] for name in classes}
    for queue in seen.queues:
        home = home_of(Source(queue.ref.name, queue.tier), classes)
        if home is not None:
            homes[home].append(queue)
    return {name: _demand(queues, seen.classes[name], classes[name]) for name, queues in homes.items()}


def _demand(queues: list[QueueLoad], load: ClassLoad, kind: WorkerClass) -> Demand:
    jobs, backlog_s, arriving = 0, 0.0, 0.0
    work: dict[Source, float] = {}
    for queue in queues:
        source, present = Source(queue.ref.name, queue.tier), queue.waiting + queue.held
        present_s, coming = load.work_s(queue.ref, present), load.work_s(queue.ref, queue.arrivals)
        jobs, backlog_s, arriving = jobs + present, backlog_s + present_s, arriving + coming
        work[source] = work.get(source, 0.0) + present_s + coming * kind.wait_objective_s
    total = sum(work.values())
    return Demand(jobs, backlog_s, arriving, {source: part / total for source, part in work.items() if total})


def pour(
    workers: Mapping[str, float], found: Mapping[str, Demand], classes: Mapping[str, WorkerClass]
) -> dict[str, float]:
    """Share out fractions of workers: to workers that are kept anyway, then to more of them; to a class its own first.

    What fits nowhere stays with its own class, so that its reasons tell what is missing.
    """
    filled = dict.fromkeys(classes, 0.0)
    left = {(home, source): workers[home] * share for home in classes for source, share in found[home].shares.items()}
    for room in (_least(classes), _most(classes)):
        for is_own in (True, False):
            for home, source in left:
                for name in (name for name in classes if (name == home) is is_own and serves(classes[name], source)):
                    moved = max(0.0, min(left[home, source], room[name] - filled[name]))
                    filled[name] += moved
                    left[home, source] -= moved
    for (home, _), rest in left.items():
        filled[home] += rest
    return filled


def _least(classes: Mapping[str, WorkerClass]) -> dict[str, int]:
    return {name: kind.min_workers for name, kind in classes.items()}


def _most(classes: Mapping[str, WorkerClass]) -> dict[str, int]:
    return {name: kind.max_workers for name, kind in classes.items()}
