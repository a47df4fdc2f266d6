"""`mixed`: what priority jobs wait on one worker while ten times as many spot jobs flood it, in passes of the model.

The flood is there at once, the priority jobs arrive one by one at random while it is worked off. From its acceptance
to its end a priority job needs its own pass and what it waits beyond that: `priority_p99_batches`, in full passes. Once
with items that all cost the same, once with items of unlike cost, where a worker holds many to choose from.
"""

import argparse
import random
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

#: Spot jobs to a priority job.
_FLOOD = 10
#: Priority jobs stop arriving when this share of the flood's time is over.
_BUSY = 0.8


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what this benchmark understands besides the common options."""
    parser.add_argument("--forward-ms", type=float, default=60.0, help="length of a full pass")
    parser.add_argument("--max-batch", type=int, default=16, help="largest batch")
    parser.add_argument("--jobs", type=int, default=500, help="priority jobs")
    parser.add_argument("--pairs", type=int, default=3, help="repetitions")


def run(options: argparse.Namespace) -> Report:
    """Measure as `options` say."""
    jobs, pairs = (20, 1) if options.smoke else (options.jobs, options.pairs)
    runs: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder, ExitStack() as stack:
        server = stack.enter_context(running_server(Path(folder) / "redis"))
        # The largest items fill a pass; the floor is a quarter of it.
        parameters = {
            "max_batch": options.max_batch,
            "floor_ms": options.forward_ms / 4,
            "cost_ms": options.forward_ms * 0.75 / options.max_batch / 100,
        }
        crew = stack.enter_context(Crew(folder=Path(folder), server=server, parameters=parameters, slowness=[1]))
        flood = Flood(crew, pass_s=options.forward_ms / 1000, max_batch=options.max_batch)
        for number in range(1, pairs + 1):
            runs.append(flood.figures("priority", jobs, [100]) | flood.figures("unlike_priority", jobs, range(20, 101)))
            print(f"round {number} of {pairs}: {runs[-1]}", file=sys.stderr, flush=True)
    figures, spread = summarize(runs)
    figures |= {"forward_ms": options.forward_ms, "max_batch": options.max_batch, "jobs": jobs}
    return Report(bench="mixed", figures=figures, spread=spread)


class Flood:
    """Spot jobs at once, priority jobs one by one.

    Args:
        crew: one worker.
        pass_s: length of a full pass of the largest items.
        max_batch: items of a full pass.
    """

    def __init__(self, crew: Crew, *, pass_s: float, max_batch: int) -> None:
        self._crew = crew
        self._pass_s = pass_s
        self._max_batch = max_batch
        self._random = random.Random(7)

    def figures(self, name: str, jobs: int, costs: Sequence[int]) -> dict[str, float]:
        """Waits of priority jobs whose costs, like the flood's, are drawn from `costs`."""
        self._crew.submit(self._random.choices(costs, k=_FLOOD * jobs), Tier.SPOT)
        mean_pass_s = self._pass_s * (0.25 + 0.75 * sum(costs) / len(costs) / 100)
        arriving_s = _BUSY * _FLOOD * jobs / self._max_batch * mean_pass_s
        urgent = self._arrive(jobs, costs, gap_s=arriving_s / jobs)
        self._crew.wait_until_drained()
        beyond = sorted(self._beyond_own_pass(job, costs) for job in self._crew.read(urgent, [0.0] * jobs))
        return {
            f"{name}_p50_batches": beyond[len(beyond) // 2],
            f"{name}_p99_batches": beyond[len(beyond) * 99 // 100],
        }

    def _arrive(self, jobs: int, costs: Sequence[int], *, gap_s: float) -> list[str]:
        members, due = [], time.monotonic()
        for _ in range(jobs):
            due += self._random.expovariate(1 / gap_s)
            time.sleep(max(0.0, due - time.monotonic()))
            members += self._crew.submit([self._random.choice(costs)], Tier.PRIORITY)
        return members

    def _beyond_own_pass(self, job: Ended, costs: Sequence[int]) -> float:
        own_s = self._pass_s if len(costs) == 1 else (job.ended_ms - job.begun_ms) / 1000
        return ((job.ended_ms - job.accepted_ms) / 1000 - own_s) / self._pass_s
