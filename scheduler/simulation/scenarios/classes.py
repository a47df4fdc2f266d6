"""Two worker classes, two models: is each model run where its jobs cost least?

A dear class runs one model much faster, and the other hardly: so each class is the cheaper one for one of them. Nobody
knows that at first. Played beside it: either class alone, and both with workers that take whatever they may. By both
engines, as single jobs and as a liquid.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from headrace.groups import group_of
from headrace.model_ref import ModelRef
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass
from scheduler.simulation.events.crew import Speed
from scheduler.simulation.events.scheduling import Moment, Scheduling
from scheduler.simulation.flow_site import FlowSite
from scheduler.simulation.scenarios.load import Stream, counts_of, daily, jobs_of
from scheduler.simulation.scenarios.report import Finding, Row
from scheduler.simulation.scenarios.trial import WARM_S, play

#: Of a worker-hour.
PRICES = {"small": 1.0, "large": 3.0}
_DEEP, _FLAT = ModelRef("deep", 1), ModelRef("flat", 1)
#: Jobs each second of one worker: a deep job costs 10 on small and 3 on large, a flat one 2 on small and 4.8 on large.
_RATES = {"small": {_DEEP: 0.1, _FLAT: 0.5}, "large": {_DEEP: 1.0, _FLAT: 0.625}}
#: Where a model belongs.
HOMES = {_DEEP: "large", _FLAT: "small"}
#: Workers' work at the least and the most of a day, where it belongs.
_WORK = (2.0, 5.0)
_OBJECTIVE_S, _COLD_S = 60.0, 90.0
_WAYS = {
    "both": (tuple(PRICES), True),
    "both, whoever is free": (tuple(PRICES), False),
    "small alone": (("small",), True),
    "large alone": (("large",), True),
}


class Played(NamedTuple):
    """What came of it."""

    worker_hours: Mapping[str, float]
    cost: float
    #: Share of each model's jobs that were run where they cost least.
    at_home: Mapping[ModelRef, float]
    in_time: float
    moments: Sequence[Moment]


def run(*, hours: float, seed: int) -> Finding:
    """Play a day of so many hours, with the peak of one model at the other's least."""
    streams = _streams(hours)
    jobs = {way: _jobs(streams, *how, hours=hours, seed=seed) for way, how in _WAYS.items()}
    flow = {way: _flow(streams, *how, hours=hours, seed=seed) for way, how in _WAYS.items()}
    ours = jobs["both"]
    figures = {f"{ref.name}_on_{home}": ours.at_home[ref] for ref, home in HOMES.items()}
    figures |= {f"cost_over_{_name(way)}": ours.cost / jobs[way].cost for way in _WAYS if way != "both"}
    figures |= {"in_time": ours.in_time, "cost_by_flow_over_by_jobs": flow["both"].cost / ours.cost}
    rows = [_row(way, "events", played) for way, played in jobs.items()]
    rows += [_row(way, "fluid", played) for way, played in flow.items()]
    return Finding("classes", rows, figures, ours.moments)


def _streams(hours: float) -> list[Stream]:
    streams = []
    for place, (ref, home) in enumerate(HOMES.items()):
        low, high = (work * _RATES[home][ref] for work in _WORK)
        streams.append(Stream(daily(low, high, hours=hours, period_h=hours, begins_h=place * hours / 2), ref))
    return streams


def _jobs(streams: Sequence[Stream], names: Sequence[str], leaves: bool, *, hours: float, seed: int) -> Played:
    speeds = {name: {ref: Speed.of_rate(rate, max_batch=4) for ref, rate in _RATES[name].items()} for name in names}
    classes = {name: _kind(PRICES[name]) for name in names}
    jobs = jobs_of(streams, seed=seed)
    trial = play(jobs, classes=classes, speeds=speeds, hours=hours, cold_start_s=_COLD_S, seed=seed, leaves=leaves)
    kinds = {ref: [done.kind for done in trial.done if done.job.ref == ref] for ref in HOMES}
    at_home = {ref: kinds[ref].count(home) / len(kinds[ref]) for ref, home in HOMES.items()}
    return Played(trial.worker_hours, trial.cost, at_home, trial.in_time(_OBJECTIVE_S), trial.moments)


def _flow(streams: Sequence[Stream], names: Sequence[str], leaves: bool, *, hours: float, seed: int) -> Played:
    classes = {name: _kind(PRICES[name]) for name in names}
    counts = counts_of(streams, seed=seed)
    site = FlowSite(
        classes=classes,
        rates={name: {group_of(ref, Tier.STANDARD): rate for ref, rate in _RATES[name].items()} for name in names},
        counts={group_of(it.ref, it.tier): its for it, its in zip(streams, counts, strict=True)},
        objective_s=_OBJECTIVE_S,
        since_s=WARM_S,
    )
    scheduling = Scheduling(site=site, classes=classes, cold_start_s=_COLD_S, leaves=leaves)
    scheduling.run(0.0, WARM_S)
    before = {name: site.spent_s(name, WARM_S) for name in names}
    scheduling.run(WARM_S, 3600 * hours)
    spent = {name: (site.spent_s(name, 3600 * hours) - before[name]) / 3600 for name in names}
    at_home = {ref: _share(site, group_of(ref, Tier.STANDARD), home) for ref, home in HOMES.items()}
    cost = sum(spent[name] * PRICES[name] for name in names)
    return Played(spent, cost, at_home, site.in_time, scheduling.moments)


def _share(site: FlowSite, group: str, home: str) -> float:
    return site.done[group, home] / sum(jobs for (done, _), jobs in site.done.items() if done == group)


def _kind(price: float) -> WorkerClass:
    return WorkerClass(
        tiers=(Tier.STANDARD,),
        min_workers=0,
        max_workers=80,
        wait_objective_s=_OBJECTIVE_S,
        scale_down_window_s=900.0,
        price_per_hour=price,
    )


def _row(way: str, engine: str, played: Played) -> Row:
    return {
        "way": way,
        "engine": engine,
        **{f"{name} hours": played.worker_hours.get(name, 0.0) for name in PRICES},
        "cost": played.cost,
        **{f"{ref.name} on {home} %": 100 * played.at_home[ref] for ref, home in HOMES.items()},
        "in time %": 100 * played.in_time,
    }


def _name(way: str) -> str:
    return way.replace(", ", "_").replace(" ", "_")
