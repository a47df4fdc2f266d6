"""`eta`: whether jobs end before the p90 of the estimate that their caller was told when handing them in.

A trace is replayed to one worker on a simulated clock, with the production estimator, batcher and claim policy; passes
sleep for the same time, so long that the worker is loaded as `--load` says on average if all its batches are full. The
estimator begins knowing nothing. Seeds differ in when the worker speaks and in how late sleeps end.
"""

import argparse
import random
import sys
from itertools import accumulate
from pathlib import Path

from bench.eta_replay import Replay
from bench.report import Report, installed_versions, summarize
from bench.traces import read_requests


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what this benchmark understands besides the common options."""
    parser.add_argument("--trace", type=Path, help="gzipped CSV with the column t_s")
    parser.add_argument("--seconds", type=float, default=1800, help="of the trace, from its beginning")
    parser.add_argument("--load", type=float, default=0.7, help="mean load if all batches are full")
    parser.add_argument("--max-batch", type=int, default=8, help="jobs of a full batch")
    parser.add_argument("--seeds", type=int, default=5, help="replays")


def run(options: argparse.Namespace) -> Report:
    """Measure as `options` say."""
    if options.trace is not None:
        arrivals = [request.at_s for request in read_requests(options.trace) if request.at_s < options.seconds]
    elif options.smoke:
        arrivals, options.seconds, options.seeds = generated_arrivals(600), 300, 1
    else:
        sys.exit("bench eta: --trace is needed")
    forward_s = options.load * options.max_batch * options.seconds / len(arrivals)
    runs = [
        figures(Replay(forward_s=forward_s, max_batch=options.max_batch, seed=seed), arrivals, options.seconds)
        for seed in range(options.seeds)
    ]
    medians, spread = summarize(runs)
    medians |= {"jobs": len(arrivals), "forward_s": forward_s, "max_batch": options.max_batch, "seeds": options.seeds}
    return Report(bench="eta", figures=medians, spread=spread, versions=installed_versions(()))


def figures(replay: Replay, arrivals: list[float], seconds: float) -> dict[str, float]:
    """Shares of the jobs that were told an estimate, and of those that were told none."""
    replayed = replay.run(arrivals)
    return {
        "share_before_p90": replayed.before_p90 / replayed.estimated,
        "share_before_p50": replayed.before_p50 / replayed.estimated,
        "share_untold": replayed.untold / len(arrivals),
        "busy_share": replayed.busy_s / seconds,
    }


def generated_arrivals(count: int) -> list[float]:
    """A trace for trying out: bursts of one to ten jobs, two jobs a second."""
    rng = random.Random(0)
    bursts = accumulate(rng.expovariate(0.36) for _ in range(count))
    return [at_s for at_s in bursts for _ in range(rng.randint(1, 10))][:count]
