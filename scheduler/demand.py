"""Demand: what each class is scaled for, in jobs and in seconds of work; and whose workers do it in the end. Pure.

A class is scaled for the tiers that stand first with it; what another class can do in its spare time, or what is
beyond the most workers that it may have, goes to the other.
"""

from collections.abc import Mapping
from typing import NamedTuple

from headrace.worker_class import WorkerClass
from scheduler.homes import MUST_SAVE, Homes, Source, serves
from scheduler.observation import ClassLoad, Due, Observation, QueueLoad


class Demand(NamedTuple):
    """What one class is scaled for."""

    #: Jobs that wait, and that workers hold.
    waiting: int = 0
    held: int = 0
    #: Their work, in seconds.
    backlog_s: float = 0.0
    #: Work that arrives each second, smoothed.
    arriving: float = 0.0
    #: Work that arrived each second since the last look.
    arrived: float = 0.0
    #: Each source's share of that work, from 0 to 1.
    shares: Mapping[Source, float] = {}
    #: How many times as long each class takes for a source's work, 1 where that is much the same.
    slowness: Mapping[Source, Mapping[str, float]] = {}
    #: Since the oldest job that waits was accepted.
    oldest_age_s: float = 0.0
    #: Seconds of work that have deadlines soon.
    dues: tuple[Due, ...] = ()
    #: Seconds of work in one job, on average.
    job_s: float = 0.0

    @property
    def jobs(self) -> int:
        """Jobs that are not done."""
        return self.waiting + self.held


class Poured(NamedTuple):
    """Who does the work."""

    #: Fractions of workers of each class.
    workers: Mapping[str, float]
    #: Sources of which a class does some, though they are not its own.
    helpers: frozenset[tuple[Source, str]] = frozenset()


def demands(seen: Observation, classes: Mapping[str, WorkerClass], homes: Homes) -> dict[str, Demand]:
    """What each class is scaled for."""
    found: dict[str, list[QueueLoad]] = {name: [] for name in classes}
    for queue in seen.queues:
        home = homes.of(queue, seen.classes)
        if home is not None:
            found[home].append(queue)
    return {name: _demand(name, queues, seen.classes, classes[name]) for name, queues in found.items()}


def _demand(name: str, queues: list[QueueLoad], loads: Mapping[str, ClassLoad], kind: WorkerClass) -> Demand:
    load, backlog_s, arriving, arrived = loads[name], 0.0, 0.0, 0.0
    work: dict[Source, dict[str, float]] = {}
    for queue in queues:
        jobs = queue.waiting + queue.held
        backlog_s += load.work_s(queue.ref, jobs)
        arriving += load.work_s(queue.ref, queue.arrivals)
        arrived += load.work_s(queue.ref, queue.arrived)
        parts = work.setdefault(Source.of(queue), dict.fromkeys(loads, 0.0))
        for each, its in loads.items():
            parts[each] += its.work_s(queue.ref, jobs + queue.arrivals * kind.wait_objective_s)
    total = sum(parts[name] for parts in work.values())
    dues = tuple(Due(load.work_s(queue.ref, jobs), in_s) for queue in queues for jobs, in_s in queue.dues)
    count = sum(queue.waiting + queue.held + queue.arrivals * kind.wait_objective_s for queue in queues)
    shares = {source: parts[name] / total for source, parts in work.items() if total}
    slowness = {
        source: {each: _times(part, parts[name]) for each, part in parts.items()} for source, parts in work.items()
    }
    waiting, held = sum(queue.waiting for queue in queues), sum(queue.held for queue in queues)
    oldest_age_s = max((queue.oldest_age_s for queue in queues), default=0.0)
    return Demand(
        waiting=waiting,
        held=held,
        backlog_s=backlog_s,
        arriving=arriving,
        arrived=arrived,
        shares=shares,
        slowness=slowness,
        oldest_age_s=oldest_age_s,
        dues=dues,
        job_s=total / max(count, 1e-9),
    )


def _times(theirs: float, ours: float) -> float:
    """One over the other; 1 for a difference that is no larger than measurements vary."""
    is_alike = min(theirs, ours) >= (1 - MUST_SAVE) * max(theirs, ours)
    return 1.0 if is_alike or not (ours and theirs) else theirs / ours


def pour(workers: Mapping[str, float], found: Mapping[str, Demand], classes: Mapping[str, WorkerClass]) -> Poured:
    """Share out fractions of workers: to workers that are kept anyway, then to more of them; to a class its own first.

    What fits nowhere stays with its own class, so that its reasons tell what is missing.
    """
    filled = dict.fromkeys(classes, 0.0)
    left = {(home, source): workers[home] * share for home in classes for source, share in found[home].shares.items()}
    helpers: set[tuple[Source, str]] = set()
    for room in (_least(classes), _most(classes)):
        for is_own in (True, False):
            for home, source in left:
                for name in (name for name in classes if (name == home) is is_own and serves(classes[name], source)):
                    times = found[home].slowness[source][name]
                    moved = max(0.0, min(left[home, source] * times, room[name] - filled[name]))
                    filled[name] += moved
                    left[home, source] -= moved / times
                    if moved and not is_own:
                        helpers.add((source, name))
    for (home, _), rest in left.items():
        filled[home] += rest
    return Poured(filled, frozenset(helpers))


def _least(classes: Mapping[str, WorkerClass]) -> dict[str, int]:
    return {name: kind.min_workers for name, kind in classes.items()}


def _most(classes: Mapping[str, WorkerClass]) -> dict[str, int]:
    return {name: kind.max_workers for name, kind in classes.items()}
