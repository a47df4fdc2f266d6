"""ScalingPolicy: how many workers of each class there should be, and why. Pure."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from headrace.settings import WorkerClass
from scheduler.demand import Demand, demands, pour
from scheduler.observation import ClassLoad, Observation

#: A worker is not started for less than this part of one's work, except for the first,
_SLACK = 0.05
#: nor for less than this part of what those that there are do.
_TOLERANCE = 0.1


class Wish(NamedTuple):
    """How many workers a class should have had at one moment."""

    at: float
    workers: int


#: Wishes of each class that may still count, oldest first, each lower than the one before.
ScalingState = Mapping[str, tuple[Wish, ...]]


class ClassDecision(NamedTuple):
    """How many workers of one class there should be."""

    workers: int
    #: What the present load alone asks for, within the bounds.
    wanted: int
    demand: Demand
    reasons: tuple[str, ...]


class Decision(NamedTuple):
    """What to do, and what to remember for the next time."""

    classes: Mapping[str, ClassDecision]
    state: ScalingState

    @property
    def counts(self) -> dict[str, int]:
        """How many workers of each class there should be."""
        return {name: decided.workers for name, decided in self.classes.items()}


class ScalingPolicy:
    """Starts workers as soon as the backlog asks for them, drains them when a window has passed without need.

    `state` is what the decision before answered. A class that it does not know (the scheduler has just started) keeps
    what it has for one window. Two policies that see the same decide the same.

    Args:
        classes: the worker classes with their bounds.
    """

    def __init__(self, *, classes: Mapping[str, WorkerClass]) -> None:
        self._classes = classes

    def decide(self, seen: Observation, state: ScalingState, now: float) -> Decision:
        """Decide; `now` is monotonic seconds."""
        found = demands(seen, self._classes)
        workers = {
            name: found[name].workers(seen.classes[name], kind.wait_objective_s) for name, kind in self._classes.items()
        }
        filled = pour(workers, found, self._classes)
        decided: dict[str, ClassDecision] = {}
        remembered: dict[str, tuple[Wish, ...]] = {}
        for name, kind in self._classes.items():
            load = seen.classes[name]
            wanted, why = _bounded(_whole(filled[name], found[name], load), filled[name], found[name], kind)
            wishes = _remember(state.get(name, _as_it_is(load, kind, now)), Wish(now, wanted), _window_s(kind, load))
            reasons = (_describe(found[name], kind), *why, *_kept(wishes, wanted, now, _window_s(kind, load)))
            decided[name] = ClassDecision(wishes[0].workers, wanted, found[name], reasons)
            remembered[name] = wishes
        return Decision(decided, remembered)


def _whole(filled: float, demand: Demand, load: ClassLoad) -> int:
    """A whole number of workers for a fraction."""
    present = load.ready + load.coming
    if present <= filled <= present * (1 + _TOLERANCE):
        return present
    least = 1 if demand.jobs and filled > 0 else 0
    return max(least, math.ceil(filled - _SLACK))


def _bounded(wanted: int, filled: float, demand: Demand, kind: WorkerClass) -> tuple[int, tuple[str, ...]]:
    """A number of workers within the bounds, with what was done to it."""
    if wanted > kind.max_workers:
        return kind.max_workers, (f"{filled:.1f} workers would be needed, but max_workers is {kind.max_workers}",)
    if wanted < kind.min_workers:
        return kind.min_workers, (f"min_workers is {kind.min_workers}",)
    if wanted:
        return wanted, (f"that takes {filled:.1f} workers",)
    return 0, ("workers that run anyway do it" if demand.jobs else "nothing to do",)


def _window_s(kind: WorkerClass, load: ClassLoad) -> float:
    # Below the time to get a worker back, draining one would be regretted too often.
    return max(kind.scale_down_window_s, 2 * load.cold_start_s)


def _as_it_is(load: ClassLoad, kind: WorkerClass, now: float) -> tuple[Wish, ...]:
    """What a scheduler that remembers nothing begins with."""
    return (Wish(now, min(max(load.alive, load.desired or 0), kind.max_workers)),)


def _remember(wishes: tuple[Wish, ...], new: Wish, window_s: float) -> tuple[Wish, ...]:
    """The wishes within the window that were higher than all later ones: the first of them is the one that counts."""
    higher = (wish for wish in wishes if wish.workers > new.workers and wish.at > new.at - window_s)
    return (*higher, new)


def _describe(demand: Demand, kind: WorkerClass) -> str:
    if not demand.jobs and demand.arriving < 0.005:
        return "no jobs"
    tiers = sorted({str(source.tier) for source in demand.shares})
    return (
        f"{demand.jobs} jobs of {', '.join(tiers)} are {demand.backlog_s:.1f} s of work, {demand.arriving:.2f} s more"
        f" arrive each second, to be done in {kind.wait_objective_s:g} s"
    )


def _kept(wishes: tuple[Wish, ...], wanted: int, now: float, window_s: float) -> tuple[str, ...]:
    first = wishes[0]
    if first.workers == wanted:
        return ()
    return (f"{first.workers} kept: so many were needed {now - first.at:.0f} s ago, and the window is {window_s:g} s",)
