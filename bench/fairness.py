"""`fairness`: do two tenants that wait get equal work, and how long does the first job of a third one wait?

One worker. *large* hands in ten times the work of *small*; the worker, stopped until both wait, goes on. `work_ratio_…`
is the work that large had over that of small until nine tenths of small's began: with jobs of one cost, with those of
large five times as costly, and with those of small. `idle_wait_batches_max` is how long jobs of tenants that had none
waited while large did, in passes of the worker, the longest of several.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.crew import Crew, Ended
from bench.drain import running_server
from bench.report import Report, summarize
from headrace.tiers import Tier

_LOAD = 10
_COSTLY = 5
_COST = 20
_NEWCOMERS = 8


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what this benchmark understands besides the common options."""
    parser.add_argument("--forward-ms", type=float, default=20.0, help="a full pass of jobs that cost little")
    parser.add_argument("--max-batch", type=int, default=16, help="largest batch")
    parser.add_argument("--jobs", type=int, default=1280, help="jobs of the small tenant, if they cost little")
    parser.add_argument("--pairs", type=int, default=2, help="repetitions")


def run(options: argparse.Namespace) -> Report:
    """Measure as `options` say."""
    jobs, pairs = (64, 1) if options.smoke else (options.jobs, options.pairs)
    parameters = {
        "max_batch": options.max_batch,
        "floor_ms": options.forward_ms / 10,
        "cost_ms": options.forward_ms * 0.9 / options.max_batch / _COST,
    }
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder, ExitStack() as stack:
        server = stack.enter_context(running_server(Path(folder)))
        crew = stack.enter_context(Crew(folder=Path(folder), server=server, parameters=parameters, slowness=[1.0]))
        _work_ratio(crew, jobs // 4, _COST, _COST)
        runs = []
        for number in range(1, pairs + 1):
            runs.append(
                {
                    "work_ratio_alike": _work_ratio(crew, jobs, _COST, _COST),
                    "work_ratio_large_costly": _work_ratio(crew, jobs, _COSTLY * _COST, _COST),
                    "work_ratio_small_costly": _work_ratio(crew, jobs, _COST, _COSTLY * _COST),
                    "idle_wait_batches_max": max(_idle_waits(crew, jobs, options.forward_ms)),
                }
            )
            print(f"round {number} of {pairs}: {runs[-1]}", file=sys.stderr, flush=True)
    figures, spread = summarize(runs)
    figures |= {"forward_ms": options.forward_ms, "max_batch": options.max_batch, "small_jobs": jobs, "load": _LOAD}
    return Report(bench="fairness", figures=figures, spread=spread)


def _work_ratio(crew: Crew, jobs: int, large_cost: int, small_cost: int) -> float:
    """Work of the large tenant over that of the small one while both waited; `jobs`: how many small has if cheap."""
    work = jobs * _COST
    costs = {"large": [large_cost] * (_LOAD * work // large_cost), "small": [small_cost] * (work // small_cost)}
    with crew.paused():
        members = {tenant: crew.submit(of_one, Tier.STANDARD, tenant=tenant) for tenant, of_one in costs.items()}
    crew.wait_until_drained()
    ended = {tenant: crew.read(members[tenant], costs[tenant]) for tenant in costs}
    # The last tenth may be with the worker already, and waits no more.
    last_ms = sorted(job.begun_ms for job in ended["small"])[len(ended["small"]) * 9 // 10]
    large, small = (_work(ended[tenant], last_ms) for tenant in costs)
    return large / small


def _work(jobs: Sequence[Ended], last_ms: int) -> float:
    return sum(job.tag for job in jobs if job.begun_ms <= last_ms)


def _idle_waits(crew: Crew, jobs: int, forward_ms: float) -> list[float]:
    """What the first jobs of tenants waited that came while a backlog was worked on, in passes."""
    costs = [_COST] * (_LOAD * jobs)
    backlog, newcomers = crew.submit(costs, Tier.STANDARD, tenant="large"), []
    for number in range(_NEWCOMERS):
        # Passes and arrivals shall not keep step.
        time.sleep(2.3 * forward_ms / 1000)
        newcomers += crew.submit([_COST], Tier.STANDARD, tenant=f"newcomer-{number}")
    crew.wait_until_drained()
    begun = sorted({job.begun_ms for job in crew.read(backlog, costs)})
    pass_ms = (begun[-1] - begun[0]) / (len(begun) - 1)
    return [(job.begun_ms - job.accepted_ms) / pass_ms for job in crew.read(newcomers, [_COST] * _NEWCOMERS)]
