"""`backlog`: how well the work that waits, and comes meanwhile, is known by counting jobs, and by each one's cost.

The scheduler takes depth times the mean job that workers measure. Were each job's cost known when it is accepted, its
sum would be exact for what waits; what arrives until another worker is ready is a forecast either way. Here both are
held against what came: at moments of a trace a number of jobs waits, the mean is that of the jobs before them, and the
rate that of the last minute. `by_count` and `by_sum` are the mean errors, as a share of the work that there was.
"""

import argparse
import math
import random
import statistics
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from bench.report import Report
from bench.traces import read_requests

#: What a job costs apart from its tokens, as many tokens: a share in the floor of its pass.
_FLOOR_TOKENS = 64
#: Jobs that the measured mean is of.
_MEASURED = 256
_LEVEL_S = 60.0
_DEPTHS = (10, 100, 1000)


class Job(NamedTuple):
    """When it comes, and its work."""

    at_s: float
    cost: float


class Errors(NamedTuple):
    """Shares of the work that there was."""

    by_count: float
    by_sum: float


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what this benchmark understands besides the common options."""
    parser.add_argument("--trace", type=Path, help="a trace with t_s and input_tokens; without it jobs are generated")
    parser.add_argument("--cold-start", type=float, default=30.0, help="seconds until another worker is ready")
    parser.add_argument("--moments", type=int, default=2_000, help="at which it is looked")


def run(options: argparse.Namespace) -> Report:
    """Measure as `options` say."""
    jobs = read_jobs(options.trace) if options.trace else generated(per_s=20.0, cv=1.0)
    moments = 100 if options.smoke else options.moments
    figures: dict[str, float] = {"cost_cv": _cv([job.cost for job in jobs])}
    for depth in _DEPTHS:
        if errors := errors_at(jobs, depth, options.cold_start, moments):
            figures |= {f"by_count_{depth}": errors.by_count, f"by_sum_{depth}": errors.by_sum}
            figures[f"count_over_sum_{depth}"] = errors.by_count / errors.by_sum
    return Report(bench="backlog", figures={name: round(value, 4) for name, value in figures.items()}, spread={})


def read_jobs(trace: Path) -> list[Job]:
    """Those of a trace, by their tokens."""
    return [Job(request.at_s, _FLOOR_TOKENS + request.tokens) for request in read_requests(trace)]


def generated(*, per_s: float, cv: float, seconds: float = 3600.0) -> list[Job]:
    """Poisson arrivals whose costs are log-normal."""
    rng, sigma = random.Random(1), math.sqrt(math.log(1 + cv * cv))
    jobs, at_s = [], 0.0
    while (at_s := at_s + rng.expovariate(per_s)) < seconds:
        jobs.append(Job(at_s, rng.lognormvariate(0.0, sigma)))
    return jobs


def errors_at(jobs: Sequence[Job], depth: int, cold_start_s: float, moments: int) -> Errors | None:
    """Mean errors with so many jobs waiting, None if the trace is too short."""
    times = [job.at_s for job in jobs]
    sums = [0.0, *accumulate(job.cost for job in jobs)]
    first = max(_MEASURED + depth, bisect_left(times, times[0] + _LEVEL_S))
    last = bisect_left(times, times[-1] - cold_start_s)
    if first >= last:
        return None
    rng = random.Random(2)
    return _mean(_errors(times, sums, rng.randrange(first, last), depth, cold_start_s) for _ in range(moments))


def _errors(times: Sequence[float], sums: Sequence[float], here: int, depth: int, cold_start_s: float) -> Errors:
    """At the moment when job number `here` is about to come."""
    now, oldest = times[here], here - depth
    mean = (sums[oldest] - sums[oldest - _MEASURED]) / _MEASURED
    coming = mean * cold_start_s * (here - bisect_left(times, now - _LEVEL_S)) / _LEVEL_S
    waiting = sums[here] - sums[oldest]
    truth = sums[bisect_left(times, now + cold_start_s)] - sums[oldest]
    return Errors(abs(depth * mean + coming - truth) / truth, abs(waiting + coming - truth) / truth)


def _mean(errors: Iterable[Errors]) -> Errors:
    by_count, by_sum = zip(*errors, strict=True)
    return Errors(statistics.mean(by_count), statistics.mean(by_sum))


def _cv(costs: Sequence[float]) -> float:
    return statistics.pstdev(costs) / statistics.mean(costs)
