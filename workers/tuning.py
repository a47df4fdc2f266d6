"""Tuning: what a largest batch and a wait for company would mean for throughput and latency. Pure.

Pass times are measured; latencies are then simulated with the batcher that workers use, jobs arriving at random.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from workers.batcher import Batch, Batcher, Limits, Wait, WaitingJob
from workers.cost_model import CostModel

_REF = "tuned@1"
_SEED = 7
#: A recommended size reaches this share of the best throughput; the rest would cost much latency for little.
_ENOUGH = 0.95


class Row(NamedTuple):
    """One setting: `pass_ms` and `throughput_per_s` in full batches, `p99_ms` at the rate that was asked for."""

    max_batch: int
    wait_ms: float
    pass_ms: float
    throughput_per_s: float
    p99_ms: float


def batch_sizes(most: int) -> list[int]:
    """Powers of two up to `most`, and `most` itself."""
    return [*(2**i for i in range(most.bit_length()) if 2**i < most), most]


def median_pass_s(run: Callable[[int], None], size: int, *, clock: Callable[[], float], budget_s: float) -> float:
    """Time of a pass over `size` items: the median of those that fit the budget, of three at least."""
    run(size)
    times: list[float] = []
    while len(times) < 3 or (sum(times) < budget_s and len(times) < 1000):
        began = clock()
        run(size)
        times.append(clock() - began)
    return sorted(times)[len(times) // 2]


def rows(passes: Mapping[int, float], *, waits_ms: Sequence[float], rate_per_s: float, jobs: int) -> list[Row]:
    """Every size of `passes` (seconds by batch size) with every wait, at an offered rate."""
    rng = random.Random(_SEED)
    arrivals, at = [], 0.0
    for _ in range(jobs):
        at += rng.expovariate(rate_per_s)
        arrivals.append(at)
    found = []
    for size, pass_s in passes.items():
        for wait_ms in waits_ms:
            latencies = sorted(simulate(passes, arrivals, max_batch=size, wait_s=wait_ms / 1000))
            p99_ms = 1000 * latencies[int(0.99 * (len(latencies) - 1))]
            found.append(Row(size, wait_ms, 1000 * pass_s, size / pass_s, p99_ms))
    return found


def simulate(passes: Mapping[int, float], arrivals: Sequence[float], *, max_batch: int, wait_s: float) -> list[float]:
    """Seconds from arrival to the end of its pass, for each job, with one worker that serves nothing else."""
    batcher, costs, latencies, now, arrived = Batcher(), CostModel(), [0.0] * len(arrivals), 0.0, 0
    limits = {_REF: Limits(costs, max_batch=max_batch, max_wait_s=(0.0, wait_s, wait_s))}
    while True:
        while arrived < len(arrivals) and arrivals[arrived] <= now:
            batcher.add(_REF, [WaitingJob(arrived, b"")], now=arrivals[arrived])
            arrived += 1
        task = batcher.next_batch(now, limits)
        if isinstance(task, Batch):
            took_s = _pass_s(passes, len(task.jobs))
            now += took_s
            costs.observe(len(task.jobs), len(task.jobs), took_s)
            for job in task.jobs:
                latencies[job.slot] = now - arrivals[job.slot]
        elif task is None and arrived == len(arrivals):
            return latencies
        else:
            now = _next_event(task, arrivals[arrived:])


def _next_event(task: Wait | None, to_come: Sequence[float]) -> float:
    times = [] if task is None else [task.until_s]
    return min([*times, *to_come[:1]])


def _pass_s(passes: Mapping[int, float], items: int) -> float:
    """Time of a pass over any number of items, on straight lines between the measured ones."""
    above = min(size for size in passes if size >= items)
    below = max((size for size in passes if size <= items), default=above)
    if above == below:
        return passes[above]
    return passes[below] + (passes[above] - passes[below]) * (items - below) / (above - below)


def recommend(found: Sequence[Row], *, p99_ms: float | None = None) -> Row:
    """The row to use: of those with nearly the best throughput the one with the least latency.

    With a bound for the p99 only rows within it count, if there are any.
    """
    within = [row for row in found if p99_ms is None or row.p99_ms <= p99_ms] or list(found)
    best = max(row.throughput_per_s for row in within)
    enough = [row for row in within if row.throughput_per_s >= _ENOUGH * best]
    return min(enough, key=lambda row: (row.p99_ms, row.max_batch, row.wait_ms))
