"""Scheduling: the scheduler's decisions over a site, with its own policy, meters and spot market.

A decision is carried out at once, as far as the market has machines; what a worker costs is known from the beginning.
"""

from collections.abc import Mapping
from typing import NamedTuple

from headrace.groups import split_group
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass
from scheduler.forecaster import level_tau_s
from scheduler.meters import RateMeter
from scheduler.observation import ClassLoad, Observation, QueueLoad
from scheduler.policy import ScalingPolicy
from scheduler.simulation.events.machines import Machines
from scheduler.simulation.events.site import Site
from scheduler.simulation.flow_site import FlowSite
from scheduler.spot_market import SpotMarket

TICK_S = 15.0
#: From the notice until the machine is gone, as the clouds have it that give the shortest.
_NOTICE_S = 30.0


class Moment(NamedTuple):
    """What there was at one tick."""

    at_s: float
    #: Workers of each class that are there to stay.
    staying: Mapping[str, int]
    #: Jobs that waited, of each tier.
    waiting: Mapping[Tier, int]


class Scheduling:
    """One tick after another.

    Args:
        site: what is scaled.
        classes: its worker classes.
        cold_start_s: of all of them.
        machines: of those classes whose machines may be missing or taken away.
        stands_in: whether the rules for such classes are followed; without them only the policy decides.
        leaves: whether workers leave to cheaper classes what these do for less; without it they take whatever they may.
    """

    def __init__(
        self,
        *,
        site: Site | FlowSite,
        classes: Mapping[str, WorkerClass],
        cold_start_s: float,
        machines: Mapping[str, Machines] | None = None,
        stands_in: bool = True,
        leaves: bool = True,
    ) -> None:
        self._site, self._classes, self._cold_s = site, classes, cold_start_s
        self._machines = machines or {}
        self._policy = ScalingPolicy(classes=classes)
        self._market = SpotMarket(classes=classes if stands_in else {})
        self._leaves = leaves
        self._rates = RateMeter()
        #: Deadlines beyond ask for no more than the objective does.
        self._reach_s = cold_start_s + max(kind.wait_objective_s for kind in classes.values())
        self._tau_s = min(
            level_tau_s(cold_start_s, kind.wait_objective_s, kind.scale_down_window_s) for kind in classes.values()
        )
        self._desired: dict[str, int] = {}
        self.moments: list[Moment] = []

    def run(self, since_s: float, until_s: float) -> None:
        """Let time go on."""
        for tick in range(round(since_s / TICK_S), round(until_s / TICK_S)):
            now = tick * TICK_S
            self._site.run_until(now)
            self._lose(now)
            seen = self._observe(now)
            decision = self._market.adjust(self._policy.decide(self._market.lend(seen), now), seen, now)
            self._desired = decision.counts
            if self._leaves:
                self._site.leave_to_others(self._policy.manners(decision, seen), now)
            for name, count in self._desired.items():
                self._carry_out(name, count, now)
            self.moments.append(moment_of(self._site, now))
        self._site.run_until(until_s)

    def _lose(self, now: float) -> None:
        for name, machines in self._machines.items():
            excess = self._site.machines(name) - machines.at(now)
            if excess > 0:
                self._site.take_away(name, excess, now, notice_s=_NOTICE_S)

    def _carry_out(self, name: str, count: int, now: float) -> None:
        missing = count - len(self._site.staying(name))
        if missing < 0:
            self._site.drain(name, -missing, now)
        elif name in self._machines:
            missing = max(0, min(missing, self._machines[name].at(now) - self._site.machines(name)))
        self._site.start(name, max(0, missing), now, cold_start_s=self._cold_s)

    def _observe(self, now: float) -> Observation:
        queues, held = self._site.queues, self._site.held()
        rates = self._rates.update(queues.arrived, now, tau_s=self._tau_s)
        loads = []
        for group in queues.arrived:
            ref, tier = split_group(group)
            growth, age_s = self._rates.growth[group], queues.oldest_age_s(group, now)
            load = QueueLoad(ref, tier, queues.waiting(group), held.get(group, 0), rates[group], growth)
            dues = queues.dues(group, now, within_s=self._reach_s)
            loads.append(load._replace(oldest_age_s=age_s, dues=dues))
        known: dict[str, float] = {}
        for name in self._classes:
            known |= self._site.job_s(name)
        return Observation(tuple(loads), {name: self._class(name, known, now) for name in self._classes})

    def _class(self, name: str, known: Mapping[str, float], now: float) -> ClassLoad:
        staying = self._site.staying(name)
        ready = sum(worker.ready_s <= now for worker in staying)
        return ClassLoad(
            ready=ready,
            starting=len(staying) - ready,
            draining=len(self._site.workers[name]) - len(staying),
            desired=self._desired.get(name),
            cold_start_s=self._cold_s,
            job_s={**known, **self._site.job_s(name)},
            ran=frozenset(self._site.job_s(name)),
            holds=frozenset(self._site.held_by(name)),
        )


def moment_of(site: Site | FlowSite, now: float) -> Moment:
    """How it is."""
    staying = {name: len(site.staying(name)) for name in site.workers}
    waiting = dict.fromkeys(Tier, 0)
    for group in site.queues.arrived:
        waiting[split_group(group)[1]] += site.queues.waiting(group)
    return Moment(now, staying, waiting)
