"""Demand: what each class is scaled for, in jobs and in seconds of work; and whose workers do it in the end. Pure.

A class is scaled for the tiers that stand first with it; what another class can do in its spare time, or what is
beyond the most workers that it may have, goes to the other.
"""

from collections.abc import Mapping
from typing import NamedTuple

from headrace import worker_fit
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass
from headrace.worker_fit import NOTHING, Needs
from scheduler.observation import ClassLoad, Observation, QueueLoad


class Source(NamedTuple):
    """Where work comes from, as far as it decides who may do it."""

    model: str
    tier: Tier
    needs: Needs = NOTHING

    @classmethod
    def of(cls, queue: QueueLoad) -> "Source":
        """The source of a queue's work."""
        return cls(queue.ref.name, queue.tier, queue.needs)


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
    #: Since the oldest job that waits was accepted.
    oldest_age_s: float = 0.0

    @property
    def jobs(self) -> int:
        """Jobs that are not done."""
        return self.waiting + self.held


def serves(kind: WorkerClass, source: Source) -> bool:
    """Tell whether workers of a class take jobs from a source."""
    return worker_fit.serves(kind, source.model, source.tier, source.needs)


def home_of(source: Source, classes: Mapping[str, WorkerClass]) -> str | None:
    """The class that is scaled for a source: where its tier stands nearest to the front; of equals the cheapest."""

    def rank(name: str) -> tuple[int, float]:
        return classes[name].tiers.index(source.tier), classes[name].price_per_hour

    return min((name for name, kind in classes.items() if serves(kind, source)), key=rank, default=None)


def demands(seen: Observation, classes: Mapping[str, WorkerClass]) -> dict[str, Demand]:
    """What each class is scaled for."""
    homes: dict[str, list[QueueLoad]] = {name: [] for name in classes}
    for queue in seen.queues:
        home = home_of(Source.of(queue), classes)
        if home is not None:
            homes[home].append(queue)
    return {name: _demand(queues, seen.classes[name], classes[name]) for name, queues in homes.items()}


def _demand(queues: list[QueueLoad], load: ClassLoad, kind: WorkerClass) -> Demand:
    backlog_s, arriving, arrived = 0.0, 0.0, 0.0
    work: dict[Source, float] = {}
    for queue in queues:
        source = Source.of(queue)
        present_s = load.work_s(queue.ref, queue.waiting + queue.held)
        coming = load.work_s(queue.ref, queue.arrivals)
        backlog_s, arriving = backlog_s + present_s, arriving + coming
        arrived += load.work_s(queue.ref, queue.arrived)
        work[source] = work.get(source, 0.0) + present_s + coming * kind.wait_objective_s
    total = sum(work.values())
    shares = {source: part / total for source, part in work.items() if total}
    waiting, held = sum(queue.waiting for queue in queues), sum(queue.held for queue in queues)
    oldest_age_s = max((queue.oldest_age_s for queue in queues), default=0.0)
    return Demand(waiting, held, backlog_s, arriving, arrived, shares, oldest_age_s)


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
