"""`python -m examples.demo [--keep]`: serve a sentence encoder, check its answers, let a burst start more workers."""

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from examples.demo.checks import Check, Vectors, check_direct, check_neighbours, check_norms
from examples.demo.figures import Figures
from examples.demo.jobs import embed_all, embed_alone
from examples.demo.report import Report
from examples.demo.scaling import show_scaling
from examples.demo.sentences import Sentences, read_sentences
from examples.demo.system import DATA_DIR, DemoSystem, embed_directly, forget_settings, seconds_since_process_start
from headrace.async_client import AsyncClient
from headrace.errors import HeadraceError, Unavailable


def main(arguments: Sequence[str] | None = None) -> int:
    """Tell the story; 0 only if everything that is claimed holds."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave it running until Ctrl-C, with Flower")
    parser.add_argument("--sentences", type=int, metavar="N", help="use N sentences and the paraphrases only")
    parser.add_argument("--data-dir", type=Path, default=DATA_DIR, help="kept between runs (default .headrace/demo)")
    options = parser.parse_args(arguments)
    forget_settings()
    # A stop from outside is to end the system in order, as Ctrl-C does, also where a shell has Ctrl-C ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    report = Report(Console())
    try:
        return 0 if _show(report, options) else 1
    except HeadraceError as error:
        report.failure(error.detail)
        return 1
    except KeyboardInterrupt:
        report.text("ended")
        return 130


def _show(report: Report, options: argparse.Namespace) -> bool:
    sentences = read_sentences(limit=options.sentences)
    with DemoSystem(data_dir=options.data_dir.absolute(), with_flower=options.keep) as system:
        pushed = system.push_embedder()
        ref = pushed.manifest.ref
        report.step(f"{ref} {'published' if pushed.is_new else 'is unchanged since the last run'}")
        system.wait_until_ready()
        report.step(f"Headrace is up at {system.url}: Redis, API, scheduler, courier, one Celery worker")
        vectors, figures = asyncio.run(_embed(system, sentences, report))
        report.step("computing the same directly, without a queue, to compare")
        direct = np.array(embed_directly(system.fetch(pushed.manifest), sentences.texts))
        checks = _checks(vectors, direct, sentences)
        report.checks(checks)
        report.figures(figures.rows)
        checks += show_scaling(system, sentences.texts, report, rate=figures.rate)
        report.text(_next_steps(system, keep=options.keep))
        if options.keep:
            _stay(system)
    report.step("everything has ended")
    return all(check.holds for check in checks)


async def _embed(system: DemoSystem, sentences: Sentences, report: Report) -> tuple[Vectors, Figures]:
    async with AsyncClient(system.url) as client:
        first = await client.submit("embedder", {"text": sentences.texts[0]})
        first_accepted_s = seconds_since_process_start()
        report.step(f"first job accepted {first_accepted_s:.1f} s after the start; the worker loads the model")
        await first.wait()
        report.step(f"first result {seconds_since_process_start():.1f} s after the start")
        with report.progress(len(sentences.texts)) as advance:
            embedded = await embed_all(client, sentences.texts, advance)
        alone_ms = await embed_alone(client, sentences.texts[0])
    figures = Figures(
        first_accepted_s=first_accepted_s,
        took_s=embedded.took_s,
        latencies_ms=[answer.latency_ms for answer in embedded.answers],
        batch_sizes=[answer.batch_size for answer in embedded.answers],
        alone_ms=alone_ms,
    )
    return np.array([answer.vector for answer in embedded.answers]), figures


def _checks(vectors: Vectors, direct: Vectors, sentences: Sentences) -> list[Check]:
    return [
        check_norms(vectors),
        check_neighbours(vectors, sentences.pairs),
        check_direct(vectors, direct),
    ]


def _next_steps(system: DemoSystem, *, keep: bool) -> str:
    log = os.path.relpath(system.log_path)
    if not keep:
        return f"""
Where to look next
  make demo KEEP=1        the same, left running, so that you can send jobs of your own
  make up                 an empty system, for your own models: docs/writing-a-model.md
  examples/embedder       the model that was just served
  {log:<23} what all processes said
"""
    return f"""
Still running until Ctrl-C. In another terminal:
  export HEADRACE_DATA_DIR={os.path.relpath(system.data_dir)}
  .venv/bin/headrace submit embedder '{{"text": "Water drives the wheel."}}' --wait
  .venv/bin/headrace top
  .venv/bin/headrace scaling
  curl {system.url}/v1/queues
  {system.url}/docs   every route, to try in a browser
  http://127.0.0.1:{system.flower_port}        Flower: every job, its worker and its times
"""


def _stay(system: DemoSystem) -> None:
    try:
        while system.is_running:
            time.sleep(0.5)
    except KeyboardInterrupt:
        return
    raise Unavailable(f"headrace up has ended by itself; see {system.log_path}")


if __name__ == "__main__":
    sys.exit(main())
