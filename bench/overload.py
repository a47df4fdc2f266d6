"""`overload`: three times as much work as can be done: what is done of it, and are promises to those accepted kept?

A whole system with a fixed number of workers whose passes sleep; jobs arrive by HTTP as a Poisson process, whatever
became of those before. Goodput counts jobs that ended in the time of the overload and whose wait was within their
tier's limit, against what the workers could do if passes followed each other without a gap.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.report import Report, summarize
from bench.whole_system import Done, Handed, WholeSystem, poisson
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass

#: How long jobs of each tier may wait, and their share of what arrives.
LIMITS_S = {Tier.PRIORITY: 2.0, Tier.STANDARD: 4.0, Tier.SPOT: 8.0}
SHARES = {Tier.PRIORITY: 0.2, Tier.STANDARD: 0.4, Tier.SPOT: 0.4}
#: After which queues have grown to what the limits allow.
_RAMP_S = 3.0
_WORKERS = 2


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what this benchmark understands besides the common options."""
    parser.add_argument("--forward-ms", type=float, default=200.0, help="length of a forward pass")
    parser.add_argument("--max-batch", type=int, default=4, help="largest batch")
    parser.add_argument("--factor", type=float, default=3.0, help="work that arrives over work that can be done")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the overload")
    parser.add_argument("--runs", type=int, default=3, help="repetitions, each with its own seed")


def run(options: argparse.Namespace) -> Report:
    """Measure as `options` say."""
    seconds, runs = (4.0, 1) if options.smoke else (options.seconds, options.runs)
    capacity = _WORKERS * options.max_batch / options.forward_ms * 1000
    measured = []
    for seed in range(runs):
        with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
            measured.append(_overload(Path(folder), options, capacity, seconds, seed))
        print(f"run {seed + 1} of {runs}: {measured[-1]}", file=sys.stderr, flush=True)
    figures, spread = summarize(measured)
    figures |= {"factor": options.factor, "capacity_jobs_per_s": capacity, "seconds": seconds, "runs": runs}
    return Report(bench="overload", figures=figures, spread=spread)


def _overload(
    folder: Path, options: argparse.Namespace, capacity: float, seconds: float, seed: int
) -> dict[str, float]:
    classes = {"bench": WorkerClass(min_workers=_WORKERS, max_workers=_WORKERS)}
    system = WholeSystem(
        folder=folder,
        forward_ms=options.forward_ms,
        max_batch=options.max_batch,
        classes=classes,
        wait_limits_s=LIMITS_S,
    )
    with system:
        system.service.wait_for("ready", lambda: system.ready() == _WORKERS, limit_s=90)
        system.run_one()
        arrivals = poisson([(options.factor * capacity, _RAMP_S + seconds)], SHARES, seed)
        began_ms = time.time() * 1000
        handed = system.hand_in(arrivals)
        over_ms = began_ms + 1000 * (_RAMP_S + seconds)
        system.wait_until_drained()
        done = system.read(handed)
    return _figures(handed, done, capacity, (began_ms + 1000 * _RAMP_S, over_ms))


def _figures(
    handed: Sequence[Handed], done: Sequence[Done], capacity: float, window_ms: tuple[float, float]
) -> dict[str, float]:
    began_ms, over_ms = window_ms
    kept = [one for one in done if one.wait_s <= LIMITS_S[one.tier]]
    good = sum(one.status == "succeeded" and began_ms <= one.ended_ms < over_ms for one in kept)
    figures = {
        "goodput_share_of_capacity": good / (capacity * (over_ms - began_ms) / 1000),
        "accepted_in_time_share": len(kept) / len(done),
        "accepted_that_failed": sum(one.status != "succeeded" for one in done),
    }
    for tier in Tier:
        mine, theirs = [one for one in done if one.tier is tier], [one for one in handed if one.arrival.tier is tier]
        figures[f"{tier}_refused_share"] = sum(not one.job_id for one in theirs) / max(1, len(theirs))
        figures[f"{tier}_in_time_share"] = sum(one.wait_s <= LIMITS_S[tier] for one in mine) / max(1, len(mine))
        figures[f"{tier}_wait_p50_s"] = _quantile(mine, 0.5)
        figures[f"{tier}_wait_p99_s"] = _quantile(mine, 0.99)
    return figures


def _quantile(done: Sequence[Done], share: float) -> float:
    ordered = sorted(one.wait_s for one in done)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
