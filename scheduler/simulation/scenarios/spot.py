"""Machines that are taken away: what bulk work costs on them, and whether anybody else notices.

Priority jobs run on demand only; bulk (the spot tier, with deadlines) is scaled for on spot machines, of which there
are as many as a trace says. Played beside it: the same load all on demand, and priority alone, by whose cost the two
differ from what bulk costs. An outage is played with and without the rules that let others stand in.
"""

from collections.abc import Mapping, Sequence

from headrace.model_ref import ModelRef
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass
from scheduler.simulation.events.crew import Speed
from scheduler.simulation.events.machines import Machines
from scheduler.simulation.events.queues import Job
from scheduler.simulation.scenarios.load import Stream, daily, jobs_of
from scheduler.simulation.scenarios.report import Finding, Row
from scheduler.simulation.scenarios.trial import Trial, play

SPOT_PRICE = 0.35
_REF = ModelRef("model", 1)
_PER_S, _COLD_S = 0.25, 90.0
_SPEED = Speed.of_rate(_PER_S, max_batch=4)
_OBJECTIVES_S = {Tier.PRIORITY: 30.0, Tier.SPOT: 600.0}
#: Workers' work at the least and the most of a day.
_WORK = {Tier.PRIORITY: (2.0, 5.0), Tier.SPOT: (8.0, 20.0)}
#: From arrival to deadline.
_WITHIN_S = {Tier.PRIORITY: float("inf"), Tier.SPOT: 1800.0}
_OUTAGE_S = 7200.0


def run(*, hours: float, seed: int, zones: Mapping[str, Machines], size: float = 1.0) -> Finding:
    """Play a day of so many hours on these zones' machines, then again with two hours without any in the middle."""
    streams = [_stream(tier, hours, size) for tier in _WORK]
    jobs = jobs_of(streams, seed=seed)
    urgent = [job for job in jobs if job.tier is Tier.PRIORITY]
    gone_s = (3600 * hours - _OUTAGE_S) / 2
    dark = {zone: machines.without(gone_s, gone_s + _OUTAGE_S) for zone, machines in zones.items()}
    alone, bought = _play(urgent, None, hours, seed), _play(jobs, None, hours, seed)
    lent, outage = _play(jobs, zones, hours, seed), _play(jobs, dark, hours, seed)
    helpless = _play(jobs, dark, hours, seed, stands_in=False)
    trials = {
        "priority alone": alone,
        "all on demand": bought,
        "bulk on spot": lent,
        "spot gone for 2 h": outage,
        "the same, nobody stands in": helpless,
    }
    rows = [_row(way, trial, alone) for way, trial in trials.items()]
    figures = {
        "bulk_cost_over_on_demand": (lent.cost - alone.cost) / (bought.cost - alone.cost),
        "priority_in_time": _in_time(lent, Tier.PRIORITY),
        "priority_points_lost": 100 * (_in_time(bought, Tier.PRIORITY) - _in_time(lent, Tier.PRIORITY)),
        "priority_points_lost_in_outage": 100 * (_in_time(bought, Tier.PRIORITY) - _in_time(outage, Tier.PRIORITY)),
        "bulk_by_deadline": lent.kept_deadline(_is_bulk),
        "bulk_by_deadline_in_outage": outage.kept_deadline(_is_bulk),
        "bulk_by_deadline_if_nobody_stands_in": helpless.kept_deadline(_is_bulk),
    }
    return Finding("spot", rows, figures, outage.moments)


def _stream(tier: Tier, hours: float, size: float) -> Stream:
    low, high = (work * size * _PER_S for work in _WORK[tier])
    rate = daily(low, high, hours=hours, period_h=max(hours, 8.0))
    return Stream(rate, _REF, tier, _WITHIN_S[tier])


def _play(
    jobs: Sequence[Job], zones: Mapping[str, Machines] | None, hours: float, seed: int, *, stands_in: bool = True
) -> Trial:
    """On the machines of these zones; None: bulk has a class of its own all the same, but on demand."""
    classes = {"on-demand": _kind((Tier.PRIORITY, Tier.SPOT), Tier.PRIORITY, least=1)}
    bulk = _kind((Tier.SPOT,), Tier.SPOT, least=0)
    if zones is None:
        classes["bulk"] = bulk
    for zone in zones or ():
        update = {"is_spot": True, "zone": zone, "price_per_hour": SPOT_PRICE}
        classes[f"spot-{zone}"] = bulk.model_copy(update=update)
    return play(
        jobs,
        classes=classes,
        speeds={name: {_REF: _SPEED} for name in classes},
        hours=hours,
        cold_start_s=_COLD_S,
        seed=seed,
        machines={f"spot-{zone}": machines for zone, machines in (zones or {}).items()},
        stands_in=stands_in,
    )


def _kind(tiers: tuple[Tier, ...], scaled_for: Tier, *, least: int) -> WorkerClass:
    return WorkerClass(
        tiers=tiers,
        min_workers=least,
        max_workers=40,
        wait_objective_s=_OBJECTIVES_S[scaled_for],
        scale_down_window_s=900.0,
        price_per_hour=1.0,
    )


def _row(way: str, trial: Trial, alone: Trial) -> Row:
    has_bulk = trial is not alone
    return {
        "way": way,
        "on-demand hours": sum(hours for name, hours in trial.worker_hours.items() if not name.startswith("spot")),
        "spot hours": sum(hours for name, hours in trial.worker_hours.items() if name.startswith("spot")),
        "cost": trial.cost,
        "of bulk": trial.cost - alone.cost,
        "priority in time %": 100 * _in_time(trial, Tier.PRIORITY),
        "bulk in time %": 100 * _in_time(trial, Tier.SPOT) if has_bulk else "",
        "by deadline %": 100 * trial.kept_deadline(_is_bulk) if has_bulk else "",
    }


def _in_time(trial: Trial, tier: Tier) -> float:
    return trial.in_time(_OBJECTIVES_S[tier], lambda job: job.tier is tier)


def _is_bulk(job: Job) -> bool:
    return job.tier is Tier.SPOT
