"""`tiers`: what urgent jobs wait while a flood of spot jobs does, and that spot is served however much is urgent.

One worker, passes of fixed length. *Flood*: a backlog of spot jobs is there, urgent jobs arrive one by one at a third
of what the worker can do; once in their own tier, once in the flood's, which is what a single queue would be.
*Overload*: as many priority as spot jobs are there, the spot jobs older than the tiers lie apart, or just arrived.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from bench.drain import running_server
from bench.headrace_side import HeadraceSide
from bench.report import Report, summarize
from headrace.groups import group_of
from headrace.ids import new_job_id
from headrace.jobs import NewJob
from headrace.tiers import OFFSET_MS, Tier

_TENANT = "default"
_INPUT = json.dumps("x").encode()
_LIMIT_S = 120.0


class Waited(NamedTuple):
    """Of one job, in milliseconds."""

    accepted_ms: int
    begun_ms: int

    @property
    def wait_ms(self) -> int:
        """From accepted to begun."""
        return self.begun_ms - self.accepted_ms


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what this benchmark understands besides the common options."""
    parser.add_argument("--forward-ms", type=float, default=20.0, help="length of a forward pass")
    parser.add_argument("--max-batch", type=int, default=16, help="largest batch")
    parser.add_argument("--pairs", type=int, default=3, help="repetitions")


def run(options: argparse.Namespace) -> Report:
    """Measure as `options` say."""
    seconds, pairs = (1.5, 1) if options.smoke else (8.0, options.pairs)
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder, ExitStack() as stack:
        server = stack.enter_context(running_server(Path(folder) / "redis"))
        parameters = {"forward_ms": options.forward_ms, "max_batch": options.max_batch}
        side = HeadraceSide(folder=Path(folder), server=server, model="sleep", parameters=parameters, tiers=tuple(Tier))
        load = Load(stack.enter_context(side), rate=options.max_batch / options.forward_ms * 1000)
        runs = []
        for number in range(1, pairs + 1):
            runs.append(_flood(load, seconds) | _overload(load, seconds))
            print(f"round {number} of {pairs}: {runs[-1]}", file=sys.stderr, flush=True)
    figures, spread = summarize(runs)
    figures |= {"forward_ms": options.forward_ms, "max_batch": options.max_batch, "pairs": pairs}
    return Report(bench="tiers", figures=figures, spread=spread)


def _flood(load: "Load", seconds: float) -> dict[str, float]:
    apart, spot = load.flood(Tier.PRIORITY, seconds)
    together, _ = load.flood(Tier.SPOT, seconds)
    urgent_p99, spot_p99, single_p99 = (_percentile(waits, 99) for waits in (apart, spot, together))
    return {
        "ratio_of_p99_waits_single_queue_to_priority": single_p99 / max(1.0, urgent_p99),
        "priority_wait_p50_ms": _percentile(apart, 50),
        "priority_wait_p99_ms": urgent_p99,
        "spot_wait_p50_ms": _percentile(spot, 50),
        "spot_wait_p99_ms": spot_p99,
        "single_queue_wait_p99_ms": single_p99,
    }


def _overload(load: "Load", seconds: float) -> dict[str, float]:
    return {
        "old_spot_share_under_priority_overload": load.spot_share(seconds, age_ms=OFFSET_MS[Tier.SPOT] + 1000),
        "new_spot_share_under_priority_overload": load.spot_share(seconds, age_ms=0),
    }


class Load:
    """Submits to a worker and looks what came of it.

    Args:
        side: the worker.
        rate: jobs that it can do in a second.
    """

    def __init__(self, side: HeadraceSide, *, rate: float) -> None:
        self._side = side
        self._rate = rate

    def flood(self, tier: Tier, seconds: float) -> tuple[list[Waited], list[Waited]]:
        """Waits of urgent jobs that arrive in `tier` during a flood, and of the flood."""
        flood = self._submit(Tier.SPOT, int(self._rate * seconds))
        urgent: list[str] = []
        began, gap_s = time.monotonic(), 3 / self._rate
        while (due := len(urgent) * gap_s) < seconds / 2:
            time.sleep(max(0.0, began + due - time.monotonic()))
            urgent += self._submit(tier, 1)
        self._side.wait_until_drained(limit_s=_LIMIT_S)
        return self._read(urgent), self._read(flood)

    def spot_share(self, seconds: float, *, age_ms: int) -> float:
        """Share of spot among the first half that was served of as many spot as priority jobs."""
        count = int(self._rate * seconds / 4)
        self._side.pause()
        jobs = {Tier.SPOT: self._submit(Tier.SPOT, count), Tier.PRIORITY: self._submit(Tier.PRIORITY, count)}
        self._age(jobs[Tier.SPOT], age_ms)
        self._side.resume()
        self._side.wait_until_drained(limit_s=_LIMIT_S)
        begun = [(waited.begun_ms, tier) for tier, members in jobs.items() for waited in self._read(members)]
        first_half = sorted(begun)[:count]
        return sum(tier is Tier.SPOT for _, tier in first_half) / count

    def _submit(self, tier: Tier, count: int) -> list[str]:
        store, ref = self._side.store, self._side.ref
        cell = store.keys.cell
        jobs = [
            NewJob(
                id=new_job_id(cell=cell, tenant=_TENANT, key=b"bench"), tenant=_TENANT, ref=ref, tier=tier, input=_INPUT
            )
            for _ in range(count)
        ]
        self._side.redis.run_all([store.submit(job, cap=1_000_000) for job in jobs])
        return [job.member for job in jobs]

    def _age(self, members: Sequence[str], age_ms: int) -> None:
        ready = self._side.store.keys.ready(group_of(self._side.ref, Tier.SPOT), _TENANT)
        pipeline = self._side.redis.client.pipeline(transaction=False)
        for member in members:
            pipeline.zincrby(ready, -age_ms, member)
        pipeline.execute()

    def _read(self, members: Sequence[str]) -> list[Waited]:
        pipeline = self._side.redis.client.pipeline(transaction=False)
        for member in members:
            pipeline.hmget(self._side.store.keys.job(member), ["q", "b"])
        return [Waited(int(accepted), int(begun)) for accepted, begun in pipeline.execute()]


def _percentile(waits: Sequence[Waited], percent: int) -> float:
    ordered = sorted(waited.wait_ms for waited in waits)
    return float(ordered[min(len(ordered) - 1, len(ordered) * percent // 100)])
