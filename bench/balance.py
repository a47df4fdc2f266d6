"""`balance`: do workers that share one queue share its work as their speeds say, and end together?

Two workers, one four times slower: `share_error` is how far the slower one's share of the work is from a fifth, as a
part of it, `end_gap_batches` by how much the last job ends after the faster worker's last one, in passes of the slower.
Once with items that all cost the same, once with items of unlike cost, where workers hold many to choose from.
Four equal workers with items of unlike cost: `busy_max_over_min` compares the time that each was busy.
"""

import argparse
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench.crew import Crew
from bench.drain import running_server
from bench.report import Report, summarize
from headrace.tiers import Tier

_SLOWNESS = 4.0
_SIZES = range(10, 101)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what this benchmark understands besides the common options."""
    parser.add_argument("--forward-ms", type=float, default=40.0, help="a full pass of a worker that is not slow")
    parser.add_argument("--max-batch", type=int, default=16, help="largest batch")
    parser.add_argument("--jobs", type=int, default=4000, help="jobs in a backlog")
    parser.add_argument("--pairs", type=int, default=3, help="repetitions")


def run(options: argparse.Namespace) -> Report:
    """Measure as `options` say."""
    jobs, pairs = (160, 1) if options.smoke else (options.jobs, options.pairs)
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        unlike = _of_unlike_speed(options, Path(folder) / "two", jobs, pairs)
        equal = _of_equal_speed(options, Path(folder) / "four", jobs, pairs)
    figures, spread = summarize([a | b for a, b in zip(unlike, equal, strict=True)])
    figures |= {"forward_ms": options.forward_ms, "max_batch": options.max_batch, "jobs": jobs}
    return Report(bench="balance", figures=figures, spread=spread)


def _of_unlike_speed(options: argparse.Namespace, folder: Path, jobs: int, rounds: int) -> list[dict[str, float]]:
    with ExitStack() as stack:
        crew = _hired(stack, options, folder, slowness=[1.0, _SLOWNESS])
        slow_pass_s = options.forward_ms / 1000 * _SLOWNESS
        runs = []
        for number in range(1, rounds + 1):
            alike = _shared(crew, "", [max(_SIZES)] * jobs, slow_pass_s)
            runs.append(alike | _shared(crew, "unlike_", random.Random(number).choices(_SIZES, k=jobs), slow_pass_s))
            print(f"round {number} of {rounds}: {runs[-1]}", file=sys.stderr, flush=True)
    return runs


def _of_equal_speed(options: argparse.Namespace, folder: Path, jobs: int, rounds: int) -> list[dict[str, float]]:
    with ExitStack() as stack:
        crew = _hired(stack, options, folder, slowness=[1.0] * 4)
        runs, done = [], 0
        for number in range(1, rounds + 1):
            before = _busy_s(crew, done)
            done += jobs
            crew.submit(random.Random(number).choices(_SIZES, k=jobs), Tier.STANDARD)
            crew.wait_until_drained()
            busy = [after - before[worker] for worker, after in _busy_s(crew, done).items()]
            runs.append({"busy_max_over_min": max(busy) / max(min(busy), 1e-9)})
            print(f"round {number} of {rounds}: {runs[-1]}", file=sys.stderr, flush=True)
    return runs


def _hired(stack: ExitStack, options: argparse.Namespace, folder: Path, *, slowness: Sequence[float]) -> Crew:
    parameters = {
        "max_batch": options.max_batch,
        "floor_ms": options.forward_ms / 4,
        "cost_ms": options.forward_ms * 0.75 / options.max_batch / max(_SIZES),
    }
    server = stack.enter_context(running_server(folder))
    return stack.enter_context(Crew(folder=folder, server=server, parameters=parameters, slowness=slowness))


def _shared(crew: Crew, name: str, costs: Sequence[int], slow_pass_s: float) -> dict[str, float]:
    members = crew.submit(costs, Tier.STANDARD)
    crew.wait_until_drained()
    work: dict[str, float] = defaultdict(float)
    last_ms: dict[str, int] = defaultdict(int)
    for job in crew.read(members, costs):
        work[job.worker] += job.tag
        last_ms[job.worker] = max(last_ms[job.worker], job.ended_ms)
    fast, slow = (worker.id for worker in crew.ready())
    ideal = 1 / (1 + _SLOWNESS)
    return {
        f"{name}share_error": abs(work[slow] / sum(work.values()) - ideal) / ideal,
        f"{name}end_gap_batches": (max(last_ms.values()) - last_ms[fast]) / 1000 / slow_pass_s,
    }


def _busy_s(crew: Crew, jobs: int) -> dict[str, float]:
    name = str(crew.side.ref)
    return {worker.id: worker.models[name].busy_s for worker in crew.wait_until_told(jobs)}
