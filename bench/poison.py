"""`poison`: one bad input of 32: how many passes it costs, and that nobody else pays for it.

One real worker. *raise*: the input makes every batch fail that it is in. *exit*: it ends the model's process. *oom*:
nothing is wrong with any input, but passes over more than ten items run out of memory; batches of 32 come.
"""

import argparse
import json
import os
import random
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from bench.drain import running_server
from bench.headrace_side import HeadraceSide
from bench.report import Report, summarize
from headrace.ids import new_job_id
from headrace.jobs import Job, JobStatus, NewJob
from headrace.tiers import Tier

_TENANT = "default"
_BATCH = 32
_FITS = 10
#: Longer than it takes to submit and claim a batch.
_BLOCK_MS = 1000
_LIMIT_S = 120.0


class Pass(NamedTuple):
    """One call of `forward`."""

    size: int
    ok: bool
    process: int


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what this benchmark understands besides the common options."""
    parser.add_argument("--rounds", type=int, default=5, help="repetitions, each with the poison at another place")


def run(options: argparse.Namespace) -> Report:
    """Measure as `options` say."""
    rounds, batches = (1, 2) if options.smoke else (options.rounds, 10)
    rng = random.Random(7)
    runs = []
    for number in range(1, rounds + 1):
        runs.append(_guilty(rng) | _too_large(batches))
        print(f"round {number} of {rounds}: {runs[-1]}", file=sys.stderr, flush=True)
    figures, spread = summarize(runs)
    return Report(bench="poison", figures=figures | {"batch": _BATCH, "rounds": rounds}, spread=spread)


def _guilty(rng: random.Random) -> dict[str, float]:
    with ExitStack() as stack:
        trial = Trial(stack, fits=_BATCH)
        figures = _ends(trial, "raise", rng)
        figures["raise_runs"] = len(trial.passes)
        figures |= _ends(trial, "exit", rng)
        figures["exit_processes_lost"] = len({one.process for one in trial.passes}) - 1
    return figures


def _ends(trial: "Trial", act: str, rng: random.Random) -> dict[str, float]:
    acts = ["answer"] * _BATCH
    acts[rng.randrange(_BATCH)] = act
    jobs = trial.run(acts)
    mates = [job for job, its in zip(jobs, acts, strict=True) if its == "answer"]
    return {
        f"{act}_mates_succeeded": sum(job.status is JobStatus.SUCCEEDED for job in mates),
        f"{act}_most_attempts_of_a_mate": max(job.attempts for job in mates),
        f"{act}_guilty_failed": sum(job.status is JobStatus.FAILED for job in jobs),
    }


def _too_large(batches: int) -> dict[str, float]:
    with ExitStack() as stack:
        trial = Trial(stack, fits=_FITS)
        jobs = [job for _ in range(batches) for job in trial.run(["answer"] * _BATCH)]
    # Those of the warm-up count: it is there that most is learnt.
    sizes = [one.size for one in (*trial.warm_up, *trial.passes) if not one.ok]
    return {
        "oom_passes": len(sizes),
        "oom_at_or_above_an_earlier_one": sum(size >= min(sizes[:i]) for i, size in enumerate(sizes) if i),
        "oom_lost": sum(job.status is not JobStatus.SUCCEEDED for job in jobs),
    }


class Trial:
    """A worker of its own, since what it learns must not help the next one."""

    def __init__(self, stack: ExitStack, *, fits: int) -> None:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headrace-bench-")))
        self._noted = folder / "passes"
        self._noted.touch()
        os.environ["BENCH_PASSES"] = str(self._noted)
        server = stack.enter_context(running_server(folder / "redis"))
        parameters = {"max_batch": _BATCH, "fits": fits}
        self._side = stack.enter_context(
            HeadraceSide(folder=folder, server=server, model="poison", parameters=parameters)
        )
        self.warm_up = self._all_passes()
        #: Every pass of a job, but those that only made others wait.
        self.passes: list[Pass] = []

    def run(self, acts: Sequence[str]) -> list[Job]:
        """Have jobs run that wait together while another one runs; answers their records."""
        before = len(self._all_passes())
        self._submit([{"act": "answer", "sleep_ms": _BLOCK_MS}])
        self._side.wait_until("the pass before runs", lambda: len(self._all_passes()) > before, limit_s=_LIMIT_S)
        members = self._submit([{"act": act} for act in acts])
        self._side.wait_until_drained(limit_s=_LIMIT_S)
        self.passes += self._all_passes()[before + 1 :]
        found = self._side.redis.run_all([self._side.store.read(member) for member in members])
        return [job for job in found if job is not None]

    def _all_passes(self) -> list[Pass]:
        lines = map(str.split, self._noted.read_text().splitlines())
        return [Pass(int(size), end == "ok", int(process)) for size, end, process in lines]

    def _submit(self, inputs: Sequence[object]) -> list[str]:
        store, ref = self._side.store, self._side.ref
        jobs = [
            NewJob(
                id=new_job_id(cell=store.keys.cell, tenant=_TENANT, key=b"bench"),
                tenant=_TENANT,
                ref=ref,
                tier=Tier.STANDARD,
                input=json.dumps(value).encode(),
            )
            for value in inputs
        ]
        self._side.redis.run_all([store.submit(job, cap=1_000_000) for job in jobs])
        return [job.member for job in jobs]
