"""ScalingPolicy: how many workers of each class there should be, and why. Pure."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from headrace.groups import queue_of
from headrace.homes import Manners
from headrace.worker_class import WorkerClass
from scheduler.back_fill import is_short, manners_of
from scheduler.cost_guard import guard
from scheduler.demand import Demand, Poured, demands, pour
from scheduler.due_work import Urgency, urgency_of
from scheduler.forecast_models import Array
from scheduler.forecaster import Forecaster
from scheduler.homes import Homes
from scheduler.named_rules import named_rule
from scheduler.observation import ClassLoad, Observation
from scheduler.pool_scaler import Bounds, PoolScaler
from scheduler.rules import PoolLoad
from scheduler.tryouts import Tryouts

#: Model versions whose prices are told for a class.
_TOLD = 5
#: What a class does for others is told from this part of a worker on.
_WORTH_TELLING = 0.1


class ClassDecision(NamedTuple):
    """How many workers of one class there should be."""

    workers: int
    #: What the present load alone asks for, within the bounds.
    wanted: int
    demand: Demand
    #: Work that is planned to arrive each second until a new worker is ready, and by which forecast.
    planned: float
    forecast: str
    reasons: tuple[str, ...]


class Decision(NamedTuple):
    """What to do."""

    classes: Mapping[str, ClassDecision]
    #: By whom the work is to be done.
    poured: Poured = Poured({})

    @property
    def counts(self) -> dict[str, int]:
        """How many workers of each class there should be."""
        return {name: decided.workers for name, decided in self.classes.items()}


class ScalingPolicy:
    """Starts workers as soon as its rule asks for them, drains them when a window has passed without need.

    It remembers what arrived and what it wanted. One that has just begun, or was told to forget, keeps what there is
    for one window. Two policies that have seen the same decide the same.

    Args:
        classes: the worker classes with their bounds.
        rule: by which rule: `headrace`, or another system's for comparison, as `named_rules` has them.
    """

    def __init__(self, *, classes: Mapping[str, WorkerClass], rule: str = "headrace") -> None:
        self._classes = classes
        self._homes = Homes(classes=classes)
        self._tryouts = Tryouts(classes=classes, homes=self._homes)
        pools = len(classes)
        chosen = named_rule(rule)
        forecaster = Forecaster(pools=pools, quantile=chosen.quantile)
        self._scaler = PoolScaler(pools=pools, rule=chosen, forecaster=forecaster)
        self._bounds = Bounds(
            least=self._each(lambda name: classes[name].min_workers),
            most=self._each(lambda name: classes[name].max_workers),
            window_s=self._each(lambda name: classes[name].scale_down_window_s),
        )

    def forget(self) -> None:
        """Another scheduler decided meanwhile: what there is now is kept for one window."""
        self._scaler.forget()
        self._homes.forget()

    def decide(self, seen: Observation, now: float) -> Decision:
        """Decide; `now` is monotonic seconds."""
        found = demands(seen, self._classes, self._homes)
        urgencies = {name: urgency_of(it.dues, seen.classes[name], it.arriving) for name, it in found.items()}
        load = self._load(found, seen.classes, urgencies, now)
        asked = dict(zip(self._classes, map(float, self._scaler.fractions(load, now)), strict=True))
        poured = pour(asked, found, self._classes)
        guarded = {
            name: guard(poured.workers[name], found[name], seen.classes[name], kind)
            for name, kind in self._classes.items()
        }
        tried = self._tryouts.due(seen, now)
        filled = {name: max(it.workers, float(name in tried)) for name, it in guarded.items()}
        counts = self._scaler.counts(self._each(lambda name: filled[name]), load, self._bounds, now)
        decided = {}
        for place, (name, kind) in enumerate(self._classes.items()):
            workers, needed, wanted = (int(each[place]) for each in (counts.workers, counts.needed, counts.wanted))
            planned, forecast = float(load.planned[place]), self._scaler.forecasts[place]
            reasons = (
                _describe(found[name], kind),
                *_for_others(name, poured, found, asked),
                *self._paused(name, seen),
                *self._at_home(name, seen),
                *_due(urgencies[name]),
                *_expect(found[name], planned, forecast),
                *guarded[name].reasons,
                *_tryout(tried.get(name)),
                _measure(filled[name], wanted, found[name], kind),
                *_kept(workers, needed, wanted, now - float(counts.wanted_at[place]), float(counts.window_s[place])),
                *_warm(bool(counts.is_warm[place]), float(counts.warm_s[place])),
            )
            decided[name] = ClassDecision(workers, wanted, found[name], planned, forecast, reasons)
        return Decision(decided, poured)

    def manners(self, decision: Decision, seen: Observation) -> dict[str, Manners]:
        """What the workers of each class leave to others, after a decision, given how the classes really are."""
        short = {
            name: is_short(seen.classes[name], decided.demand, self._classes[name], decided.wanted)
            for name, decided in decision.classes.items()
        }
        return manners_of(seen, self._homes, self._classes, short=short, poured=decision.poured)

    def _paused(self, name: str, seen: Observation) -> tuple[str, ...]:
        """What waits for a class and is not counted, since an operator said so."""
        mine = {queue_of(queue.group) for queue in seen.queues if self._homes.of(queue, seen.classes) == name}
        return tuple(
            f"{jobs} jobs wait in {queue}, which is paused"
            for queue, jobs in seen.paused.items()
            if jobs and queue in mine
        )[:_TOLD]

    def _at_home(self, name: str, seen: Observation) -> tuple[str, ...]:
        """Which model versions a class is chosen for, and what others would take for their jobs."""
        told: dict[str, None] = {}
        for queue in seen.queues:
            dearer = list(self._homes.dearer(queue, seen.classes))
            if dearer and self._homes.of(queue, seen.classes) == name:
                prices = self._homes.prices(queue, seen.classes)
                others = ", ".join(f"{1000 * prices[other]:.3g} on {other}" for other in dearer)
                told[f"1000 jobs of {queue.ref} cost {1000 * prices[name]:.3g} here, {others}"] = None
        return tuple(told)[:_TOLD]

    def _load(
        self,
        found: Mapping[str, Demand],
        seen: Mapping[str, ClassLoad],
        urgencies: Mapping[str, Urgency],
        now: float,
    ) -> PoolLoad:
        each = self._each
        cold_start_s = each(lambda name: seen[name].cold_start_s)
        objective_s = each(lambda name: self._classes[name].wait_objective_s)
        ready, coming = each(lambda name: seen[name].ready), each(lambda name: seen[name].coming)
        level = each(lambda name: found[name].arriving)
        arrived = each(lambda name: found[name].arrived)
        outlook = self._scaler.outlook(arrived, level, cold_start_s, objective_s, now)
        return PoolLoad(
            waiting=each(lambda name: found[name].waiting),
            held=each(lambda name: found[name].held),
            backlog_s=each(lambda name: found[name].backlog_s),
            level=level,
            planned=outlook.planned,
            growing=outlook.growing,
            ready=ready,
            coming=coming,
            # On average those that start have done half of it.
            done_s=cold_start_s * ready + cold_start_s / 2 * coming,
            cold_start_s=cold_start_s,
            objective_s=objective_s,
            urgent=each(lambda name: urgencies[name].workers),
            due_busy=each(lambda name: urgencies[name].busy),
        )

    def _each(self, of: Callable[[str], float]) -> Array:
        """One number for each class."""
        return np.array([float(of(name)) for name in self._classes])


def _describe(demand: Demand, kind: WorkerClass) -> str:
    if not demand.jobs and demand.arriving < 0.005:
        return "no jobs"
    tiers = sorted({str(source.tier) for source in demand.shares})
    return (
        f"{demand.jobs} jobs of {', '.join(tiers)} are {demand.backlog_s:.1f} s of work, {demand.arriving:.2f} s more"
        f" arrive each second, to be done in {kind.wait_objective_s:g} s"
    )


def _for_others(name: str, poured: Poured, found: Mapping[str, Demand], asked: Mapping[str, float]) -> tuple[str, ...]:
    """Whose work a class does besides its own, if it is worth telling."""
    if poured.workers[name] < asked[name] + _WORTH_TELLING:
        return ()
    helped = [source for source, helper in poured.helpers if helper == name]
    homes = sorted({home for home, demand in found.items() for source in helped if source in demand.shares})
    return (f"does some of the work of {', '.join(homes)}",) if homes else ()


def _expect(demand: Demand, planned: float, forecast: str) -> tuple[str, ...]:
    """What is planned with, if it is not what arrives now."""
    if planned < 0.005 or abs(planned - demand.arriving) <= 0.01 * demand.arriving:
        return ()
    return (f"{planned:.2f} s are planned for each second until another worker is ready (forecast: {forecast})",)


def _due(urgency: Urgency) -> tuple[str, ...]:
    """What deadlines ask for, if it is more than there is."""
    if not urgency.workers:
        return ()
    work_s, in_s = urgency.due
    return (f"{work_s:.1f} s of work are due in {in_s:.0f} s at the latest: that takes {urgency.workers:.1f} workers",)


def _tryout(ref: str | None) -> tuple[str, ...]:
    return () if ref is None else (f"1 is there to see what {ref} costs here: it has never been run",)


def _measure(filled: float, wanted: int, demand: Demand, kind: WorkerClass) -> str:
    """What was made of a fraction of workers."""
    if wanted == kind.max_workers and filled > wanted:
        return f"{filled:.1f} workers would be needed, but max_workers is {wanted}"
    if wanted and wanted == kind.min_workers and filled < wanted:
        return f"min_workers is {wanted}"
    if wanted:
        return f"that takes {filled:.1f} workers"
    return "workers that run anyway do it" if demand.jobs else "nothing to do"


def _kept(workers: int, needed: int, wanted: int, ago_s: float, window_s: float) -> tuple[str, ...]:
    if workers == wanted or not needed:
        return ()
    if workers != needed:
        return (f"{workers} kept: {needed} would do, and none is drained for so few",)
    return (f"{workers} kept: so many were needed {ago_s:.0f} s ago, and the window is {window_s:g} s",)


def _warm(is_warm: bool, warm_s: float) -> tuple[str, ...]:
    return (f"1 kept though idle: to start it again would cost as much as {warm_s:g} s of it",) if is_warm else ()
