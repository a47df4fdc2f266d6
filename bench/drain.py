"""`drain`: empty a backlog through one worker, against celery-batches (`noop`) or against the bare sleep (`sleep`)."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.celery_batches_side import CeleryBatchesSide, competitor_versions
from bench.headrace_side import HeadraceSide
from bench.meter import Drained
from bench.report import Report, installed_versions, summarize
from bench.sleep_loop import measure_in_child
from scheduler.embedded_server import EmbeddedServer, free_port

#: The append-only file is off for both sides: what is compared is the work per job, not the disk.
_SERVER_OPTIONS = {"appendonly": "no"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what this benchmark understands besides the common options."""
    parser.add_argument("--model", choices=("noop", "sleep"), default="noop")
    parser.add_argument("--forward-ms", type=float, default=10.0, help="pass of the sleep model")
    parser.add_argument("--max-batch", type=int, default=64, help="largest batch of either model")
    parser.add_argument("--pairs", type=int, default=5, help="interleaved repetitions")
    parser.add_argument("--jobs", type=int, default=0, help="Headrace's backlog; 0 means as measured")


def run(options: argparse.Namespace) -> Report:
    """Measure as `options` say."""
    if options.smoke:
        options.pairs = 1
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        measure = _against_celery_batches if options.model == "noop" else _against_ideal
        return measure(options, Path(folder))


def _against_celery_batches(options: argparse.Namespace, folder: Path) -> Report:
    jobs = options.jobs or (2_000 if options.smoke else 30_000)
    their_jobs = 320 if options.smoke else 3_200
    with ExitStack() as stack:
        theirs = stack.enter_context(
            CeleryBatchesSide(folder=folder, server=stack.enter_context(running_server(folder / "theirs")))
        )
        ours = stack.enter_context(_headrace(options, folder, stack))
        ours.drain(jobs // 5)
        theirs.drain(their_jobs // 5)
        runs = repeat(options.pairs, lambda: _compare(ours.drain(jobs), theirs.drain(their_jobs)))
    figures, spread = summarize(runs)
    figures |= {"jobs": jobs, "celery_batches_jobs": their_jobs, "pairs": options.pairs}
    return Report(
        bench="drain --model noop",
        figures=figures,
        spread=spread,
        versions=installed_versions() | competitor_versions(),
    )


def _compare(ours: Drained, theirs: Drained) -> dict[str, float]:
    return {
        "ratio_vs_celery_batches": ours.rate / theirs.rate,
        "headrace_jobs_per_s": ours.rate,
        "celery_batches_jobs_per_s": theirs.rate,
        **_cpu("headrace", ours.cpu_us),
        **_cpu("celery_batches", theirs.cpu_us),
    }


def _against_ideal(options: argparse.Namespace, folder: Path) -> Report:
    jobs = options.jobs or (640 if options.smoke else 19_200)
    batches = -(-jobs // options.max_batch)

    def pair() -> dict[str, float]:
        ideal_s = measure_in_child(batches, options.forward_ms)
        drained = ours.drain(jobs)
        return {
            "ratio_to_ideal": ideal_s / drained.seconds,
            "headrace_jobs_per_s": drained.rate,
            "ideal_jobs_per_s": jobs / ideal_s,
            **_cpu("headrace", drained.cpu_us),
        }

    with ExitStack() as stack:
        ours = stack.enter_context(_headrace(options, folder, stack))
        ours.drain(jobs // 5)
        runs = repeat(options.pairs, pair)
    figures, spread = summarize(runs)
    figures |= {"forward_ms": options.forward_ms, "max_batch": options.max_batch, "jobs": jobs}
    return Report(bench="drain --model sleep", figures=figures, spread=spread)


def _headrace(options: argparse.Namespace, folder: Path, stack: ExitStack) -> HeadraceSide:
    ours = folder / "ours"
    server = stack.enter_context(running_server(ours))
    parameters = {"forward_ms": options.forward_ms, "max_batch": options.max_batch}
    return HeadraceSide(folder=ours, server=server, model=options.model, parameters=parameters)


@contextmanager
def running_server(folder: Path) -> Iterator[EmbeddedServer]:
    """A server of its own for one side, ended with the context."""
    server = EmbeddedServer(folder=folder, port=free_port(), options=_SERVER_OPTIONS)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def repeat(times: int, pair: Callable[[], dict[str, float]]) -> list[dict[str, float]]:
    """Measure so many pairs, and say after each how it was."""
    runs = []
    for number in range(1, times + 1):
        runs.append(pair())
        first, value = next(iter(runs[-1].items()))
        print(f"pair {number} of {times}: {first} {value:.3g}", file=sys.stderr, flush=True)
    return runs


def _cpu(side: str, cpu_us: Mapping[str, float]) -> dict[str, float]:
    return {f"{side}_{part}_cpu_us_per_job": value for part, value in cpu_us.items()}
