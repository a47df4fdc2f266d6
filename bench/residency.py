"""`residency`: what many models cost a worker that has memory for a few of them, in seconds of loading.

Simulated: twenty models, each with the arrivals of one client of a trace, on one worker with memory for six; the
production policy beside the usual rule, least recently used goes, with jobs claimed at random and with those of loaded
models first; and beside itself with host memory for the others, to and from which a copy takes a tenth of a load.
Real: eight small models take turns in a real child that has memory for three.
"""

import argparse
import csv
import gzip
import math
import random
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.report import Report, summarize
from bench.residency_child import ChildFigures, run_child
from bench.residency_simulation import Lru, Ours, SimulatedModel, simulate

#: How many of the models fit, on average.
_FITTING = 6
#: How many fit into host memory, where there is any: the rest.
_IN_HOST_MEMORY = 14
#: Rates of the trace are scaled by this: then half of the worker's time is work, and in some hours all of it.
_SCALE = 0.08
_WINDOW_S = 600.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what this benchmark understands besides the common options."""
    parser.add_argument("--trace", type=Path, help="gzipped CSV: t_s, then one column of requests a second per model")
    parser.add_argument("--hours", type=float, default=24.0, help="how much of the trace is replayed")
    parser.add_argument("--child-jobs", type=int, default=1000, help="jobs that the real child serves")
    parser.add_argument("--seeds", type=int, default=3, help="draws of arrivals, sizes and load times")


def run(options: argparse.Namespace) -> Report:
    """Measure as `options` say."""
    if options.smoke:
        options.hours, options.seeds, options.child_jobs = 1.0, 1, 64
    elif options.trace is None:
        sys.exit("bench residency: --trace is needed")
    windows = math.ceil(options.hours * 3600 / _WINDOW_S)
    rates = read_rates(options.trace, windows) if options.trace else generated_rates(windows)
    runs = []
    for seed in range(options.seeds):
        runs.append(compare(rates, seed))
        print(f"seed {seed}: {runs[-1]}", file=sys.stderr, flush=True)
    figures, spread = summarize(runs)
    figures |= real_figures(run_child(jobs=options.child_jobs, seed=1))
    figures |= {"models": len(rates[0]), "hours": options.hours, "seeds": options.seeds}
    return Report(bench="residency", figures=figures, spread=spread)


def real_figures(child: ChildFigures) -> dict[str, float]:
    """Figures of the real child."""
    return {
        "child_memory_over_budget": round(child.most_bytes / child.budget_bytes, 4),
        "child_budget_mb": child.budget_bytes // 1_000_000,
        "child_loads": child.loads,
        "child_load_seconds": round(child.load_s, 3),
        "child_load_share": round(child.load_s / child.took_s, 4),
        "child_jobs": child.jobs,
        "child_jobs_lost": child.jobs - child.succeeded,
    }


def read_rates(trace: Path, windows: int) -> list[list[float]]:
    """Jobs a second of each model, in each window of the trace."""
    with gzip.open(trace, "rt", newline="") as file:
        rows = list(csv.reader(file))[1 : windows + 1]
    return [[float(rate) * _SCALE for rate in row[1:]] for row in rows]


def generated_rates(windows: int) -> list[list[float]]:
    """A trace for trying out: twenty models, the most wanted one forty times as often as the least."""
    rng = random.Random(0)
    return [[rng.expovariate((rank + 1) / 6) for rank in range(20)] for _ in range(windows)]


def compare(rates: Sequence[Sequence[float]], seed: int) -> dict[str, float]:
    """Figures of the production policy and the other rules over the same arrivals."""
    rng = random.Random(seed)
    models = {f"m{i}@1": _model(rng) for i in range(len(rates[0]))}
    arrivals = _arrivals(rates, rng)
    budget = _FITTING * sum(model.size_bytes for model in models.values()) // len(models)
    ours = simulate(arrivals, models, Ours(models, budget_bytes=budget))
    any_job = simulate(arrivals, models, Lru(models, budget_bytes=budget, has_affinity=False, seed=seed))
    affine = simulate(arrivals, models, Lru(models, budget_bytes=budget, has_affinity=True, seed=seed))
    host_bytes = _IN_HOST_MEMORY * budget // _FITTING
    parking = simulate(arrivals, models, Ours(models, budget_bytes=budget, host_bytes=host_bytes))
    return {
        "load_seconds_vs_lru": ours.load_s / any_job.load_s,
        "load_seconds_vs_lru_with_affinity": ours.load_s / affine.load_s,
        "load_share": ours.load_s / ours.took_s,
        "lru_load_share": any_job.load_s / any_job.took_s,
        "lru_with_affinity_load_share": affine.load_s / affine.took_s,
        "load_seconds_per_1000_jobs": 1000 * ours.load_s / len(arrivals),
        "load_seconds_with_host_memory_vs_without": parking.load_s / ours.load_s,
        "load_share_with_host_memory": parking.load_s / parking.took_s,
        "loads": ours.loads,
        "loads_with_host_memory": parking.loads,
        "mean_wait_s": ours.mean_wait_s,
        "mean_wait_with_host_memory_s": parking.mean_wait_s,
        "longest_wait_with_host_memory_s": max(parking.waits_s),
        "lru_with_affinity_mean_wait_s": affine.mean_wait_s,
        "longest_wait_s": max(ours.waits_s),
        "lru_with_affinity_longest_wait_s": max(affine.waits_s),
        "took_vs_lru_with_affinity": ours.took_s / affine.took_s,
        "jobs": len(arrivals),
    }


def _model(rng: random.Random) -> SimulatedModel:
    """About 4 GB, some a few times as large; read at 0.5 to 2 GB a second after a second of imports."""
    gigabytes = rng.lognormvariate(math.log(4), 0.7)
    return SimulatedModel(int(gigabytes * 1e9), 1.0 + gigabytes * rng.uniform(0.5, 2.0))


def _arrivals(rates: Sequence[Sequence[float]], rng: random.Random) -> list[tuple[float, str]]:
    arrivals: list[tuple[float, str]] = []
    for window, row in enumerate(rates):
        for i, rate in enumerate(row):
            at_s = window * _WINDOW_S + (rng.expovariate(rate) if rate else _WINDOW_S)
            while at_s < (window + 1) * _WINDOW_S:
                arrivals.append((at_s, f"m{i}@1"))
                at_s += rng.expovariate(rate)
    return sorted(arrivals)
