"""Three times as much work as can be done: is what can be done still done, and are promises kept?

A fixed number of workers; the API's own admission decides about each job as it comes, from looks as old as an API
process's are. Played beside it: everything accepted.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from headrace.admission import Admission, Sight
from headrace.groups import split_group
from headrace.model_ref import ModelRef
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass
from scheduler.simulation.events.crew import Speed
from scheduler.simulation.events.presences import presences
from scheduler.simulation.events.queues import Job
from scheduler.simulation.events.scheduling import Moment, moment_of
from scheduler.simulation.events.site import Site
from scheduler.simulation.scenarios.load import Stream, jobs_of, steady
from scheduler.simulation.scenarios.report import Finding, Row

FACTOR = 3.0
#: How long jobs of each tier may wait, and their share of what arrives.
_LIMITS_S = {Tier.PRIORITY: 4.0, Tier.STANDARD: 8.0, Tier.SPOT: 16.0}
_SHARES = {Tier.PRIORITY: 0.2, Tier.STANDARD: 0.4, Tier.SPOT: 0.4}
_KIND, _REF = "workers", ModelRef("model", 1)
_WORKERS, _SPEED = 8, Speed.of_rate(5.0, max_batch=4)
#: In full batches of all workers.
_CAPACITY = 5.0 * _WORKERS
#: Between two looks at the queues, and between what workers say of themselves.
_LOOK_S, _SAY_S = 0.25, 1.0
#: The first so many seconds are not counted: queues grow to what the limits allow.
_RAMP_S = 60.0
#: Time to finish in.
_REST_S = 3600.0


class _Run(NamedTuple):
    offered: list[Job]
    #: What was promised to each accepted job, by its number.
    promised_s: dict[int, float]
    site: Site
    moments: list[Moment]


def run(*, hours: float, seed: int, factor: float = FACTOR) -> Finding:
    """Play it with admission and without."""
    streams = [Stream(steady(factor * _CAPACITY * share, hours=hours), _REF, tier) for tier, share in _SHARES.items()]
    jobs = jobs_of(streams, seed=seed, burst_cv=0.0)
    until_s = 3600 * hours
    runs = {"admission": _admitted(jobs), "everything accepted": _accepted(jobs)}
    ours = runs["admission"]
    figures = {
        "factor": factor,
        "goodput_over_capacity": _goodput(ours, until_s),
        "goodput_over_capacity_without": _goodput(runs["everything accepted"], until_s),
        "accepted_within_promise": _kept(ours, lambda number, wait_s, _: wait_s <= ours.promised_s[number]),
        "accepted_within_limit": _kept(ours, lambda _, wait_s, limit_s: wait_s <= limit_s),
    }
    rows = [row for way, played in runs.items() for row in _rows(way, played)]
    return Finding("overload", rows, figures, ours.moments)


def _admitted(jobs: list[Job]) -> _Run:
    site, admission = _site(), Admission()
    promised_s: dict[int, float] = {}
    moments: list[Moment] = []
    looked_at = said_at = float("-inf")
    for job in jobs:
        site.run_until(job.at_s)
        if job.at_s - said_at >= _SAY_S:
            said_at, said = job.at_s, presences(site, _KIND, WorkerClass(), job.at_s)
            moments.append(moment_of(site, job.at_s))
        if job.at_s - looked_at >= _LOOK_S:
            looked_at = job.at_s
            admission.look(list(_sights(site)), said, (), job.at_s)
        wait_s = admission.promised_s(job.ref, job.tier)
        if wait_s is not None and wait_s > _LIMITS_S[job.tier]:
            continue
        admission.let_in(job.ref, job.tier)
        promised_s[job.number] = _LIMITS_S[job.tier] if wait_s is None else wait_s
        site.submit((job,))
    site.run_until(jobs[-1].at_s + _REST_S)
    return _Run(jobs, promised_s, site, moments)


def _accepted(jobs: list[Job]) -> _Run:
    site = _site()
    site.submit(jobs)
    site.run_until(jobs[-1].at_s + _REST_S)
    return _Run(jobs, {job.number: _LIMITS_S[job.tier] for job in jobs}, site, [])


def _site() -> Site:
    """Workers that have run a job each, so that it is known how fast they are."""
    site = Site(classes={_KIND: WorkerClass()}, speeds={_KIND: {_REF: _SPEED}}, seed=1)
    site.start(_KIND, _WORKERS, 0.0, cold_start_s=0.0)
    site.submit(Job(-1 - number, 0.0, _REF) for number in range(_WORKERS))
    site.run_until(0.0)
    return site


def _sights(site: Site) -> Iterable[Sight]:
    queues = site.queues
    for group, arrived in queues.arrived.items():
        ref, tier = split_group(group)
        yield Sight(ref, tier, queues.waiting(group), arrived, site.ended.get(group, 0))


def _goodput(played: _Run, until_s: float) -> float:
    """Jobs that ended while the overload lasted and began within their limit, over what can be done."""
    good = sum(
        done.wait_s <= _LIMITS_S[done.job.tier] for done in played.site.done if _RAMP_S <= done.ended_s < until_s
    )
    return good / (_CAPACITY * (until_s - _RAMP_S))


def _kept(played: _Run, is_kept: Callable[[int, float, float], bool], tier: Tier | None = None) -> float:
    """Share of the accepted jobs of which that is true, by their number, wait and limit."""
    mine = [done for done in played.site.done if done.job.number >= 0 and tier in (None, done.job.tier)]
    kept = sum(is_kept(done.job.number, done.wait_s, _LIMITS_S[done.job.tier]) for done in mine)
    return kept / max(1, len(mine))


def _rows(way: str, played: _Run) -> Iterable[Row]:
    for tier in Tier:
        offered = [job for job in played.offered if job.tier is tier]
        accepted = sum(job.number in played.promised_s for job in offered)
        waits_s = sorted(done.wait_s for done in played.site.done if done.job.number >= 0 and done.job.tier is tier)
        yield {
            "way": way,
            "tier": str(tier),
            "refused %": 100 * (1 - accepted / len(offered)),
            "within promise %": 100 * _kept(played, lambda n, wait_s, _: wait_s <= played.promised_s[n], tier),
            "limit s": _LIMITS_S[tier],
            "p50 s": waits_s[len(waits_s) // 2] if waits_s else 0.0,
            "p99 s": waits_s[len(waits_s) * 99 // 100] if waits_s else 0.0,
        }
