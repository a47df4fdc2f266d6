"""BackFill: what the workers of a class take of work whose home is another, cheaper class. Pure.

They leave it alone while its home keeps up. In their spare time they take it when

    the home has no ready worker, fewer than are wanted, or more to do than its ready ones can do within the objective;
    or the plan counts on them: they are kept anyway, or the home may have no more workers;
    or none of them ever ran it, and none does now: that is how it becomes known what it costs there.

Nobody is scaled for that: the work counts with its home, and only what the home may not have workers for is planned for
the others (see `pour`).
"""

from collections.abc import Mapping

from headrace.homes import Manners
from headrace.worker_class import WorkerClass
from scheduler.demand import Demand, Poured
from scheduler.homes import Homes, Source
from scheduler.observation import ClassLoad, Observation, QueueLoad


def is_short(load: ClassLoad, demand: Demand, kind: WorkerClass, wanted: int) -> bool:
    """Tell whether a class cannot keep up now, given how many workers its load asks for."""
    return load.ready < max(1, wanted) or demand.backlog_s > load.ready * kind.wait_objective_s


def is_untried(queue: QueueLoad, load: ClassLoad) -> bool:
    """Tell whether a class never ran a version, does not run it now, and may be able to."""
    ref, group = str(queue.ref), queue.group
    return ref not in load.ran and ref not in load.unable and group not in load.holds


def manners_of(
    seen: Observation, homes: Homes, classes: Mapping[str, WorkerClass], *, short: Mapping[str, bool], poured: Poured
) -> dict[str, Manners]:
    """How the workers of each class treat work that is not theirs.

    Args:
        seen: queues and classes.
        homes: say whose work it is.
        classes: the worker classes.
        short: which of them cannot keep up.
        poured: by whom the plan has work done.
    """
    spare: dict[str, list[str]] = {name: [] for name in classes}
    left: dict[str, list[str]] = {name: [] for name in classes}
    for queue in seen.queues:
        home = homes.of(queue, seen.classes)
        for name in homes.dearer(queue, seen.classes):
            is_open = (
                short[home or name]
                or (Source.of(queue), name) in poured.helpers
                or is_untried(queue, seen.classes[name])
            )
            told = spare if is_open else left
            told[name].append(queue.group)
    return {name: Manners(spare=tuple(spare[name]), left=tuple(left[name])) for name in classes}
