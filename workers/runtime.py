"""Runtime: one loaded model, and the way of a batch through its hooks. Runs in the child, and in `models check`.

The way has three stages, which may run in different threads: `stage` an input, `forward` a batch, `finish` a row.
Its own share of an item's time is a few microseconds: hooks that the author did not write are skipped, and types that
need no checking are not checked. torch is never imported here; it is used if the model has imported it.
"""

import logging
import math
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeAlias

import orjson

from headrace.errors import InvalidModel
from headrace.model import Model
from registry.manifest import Manifest
from registry.requirements import check_requirements
from registry.signature import overrides, prepares_together, signature_of
from registry.source import find_model
from workers.codec import decoder, encoder
from workers.collate import collate, split
from workers.compiled import Compiled
from workers.device_copy import device_copy
from workers.device_mark import device_mark
from workers.failures import SPARED, ItemResult, attempt, failed
from workers.finite import refuse_not_finite
from workers.isolation import Isolation
from workers.oom_limit import OomLimit
from workers.overlap import Overlap
from workers.stage_time import StageTime

log = logging.getLogger("headrace.model")

#: For all to enter who need nothing around what they do.
_NOTHING = nullcontext()
#: What it costs a pass that another thread works beside it: item by item on the next inputs, or once on the last rows.
_PREPARER_S, _FINISHER_S = 0.5e-3, 0.1e-3


#: What an item is made of: input, how far a pass before was (empty for most), and seed (None for most).
Given: TypeAlias = tuple[bytes, bytes, int | None]


class Staged(NamedTuple):
    """An input that `preprocess` has made ready, and its cost."""

    item: Any
    cost: float


class Forwarded(NamedTuple):
    """What a batch came to: a row for each input, an `ItemResult` where it failed, and what was counted.

    `cost` is that of the batch as padded, `padding` how much of it was filling; `items` went into `forward`, in `runs`
    calls.
    """

    rows: list[Any]
    cost: float
    items: int
    runs: int
    padding: float
    #: What each input costs by its author's word; empty where that makes no difference.
    costs: Sequence[float] = ()


class Runtime:
    """A loaded model. `max_batch` is the most inputs that `forward` should be given.

    `is_sized` says that the author tells costs; else every item costs 1. `overlap` tells if stages run side by side,
    `memory` is what is known of its limit, `spares` whether items that are beyond it even alone are not run.
    """

    def __init__(self, *, model: Model, manifest: Manifest, device: str, memory: OomLimit) -> None:
        kind = type(model)
        signature = signature_of(kind)
        self.manifest = manifest
        self.max_batch = manifest.max_batch
        self.is_sized = overrides(kind, "cost")
        #: Whether it can wait in host memory. A compiled pass may know its weights by their place on the device.
        self.can_park = overrides(kind, "to_host") and not manifest.options.compile
        self.overlap = Overlap(is_allowed=manifest.options.overlap)
        #: What `stage` and `finish` take here.
        self.staging, self.finishing = StageTime(thread_s=_PREPARER_S), StageTime(thread_s=_FINISHER_S)
        self.memory = memory
        self.spares = False
        self._model = model
        self._device = device
        self._copy = device_copy(device)
        self._compute = self._compiled(model) if manifest.options.compile else model.forward
        self._isolation = Isolation(name=str(manifest.ref), forward=self._pass, limit=memory)
        self._decode = decoder(signature.input)
        self._encode = encoder(signature.output)
        self._preprocess = model.preprocess if overrides(kind, "preprocess") else None
        self._preprocess_all = model.preprocess_all if prepares_together(kind) else None
        self._has_logged_apart = False
        #: Whether several inputs are staged in one call.
        self.stages_together = self._preprocess_all is not None
        self._postprocess = model.postprocess if overrides(kind, "postprocess") else None
        self._checkpoint = model.checkpoint if overrides(kind, "checkpoint") else None
        #: As its version says: one that was published before there was this hook may call something else so.
        self._seed = model.seed if manifest.takes_seed else None
        #: Inputs of the batch that is in `forward`, and whether all of them are in the pass that runs.
        self._running: Sequence[Staged | ItemResult] = ()
        self._is_whole = False

    @classmethod
    def load(cls, *, folder: Path, manifest: Manifest, device: str, memory: OomLimit | None = None) -> Self:
        """Import a version's source, load the model and warm it up; the time that this takes is the author's.

        Raises:
            InvalidModel: if this worker cannot run it, the source cannot be used, or an example fails.
            Exception: whatever the author's `load` raises.
        """
        _check_place(manifest, device)
        _, model_class = find_model(folder, entry=manifest.entry, digest=manifest.digest)
        _check_memory(manifest, device)
        if (manifest.options.autocast or manifest.options.compile) and "torch" not in sys.modules:
            raise InvalidModel(
                f"{manifest.ref}: autocast and compile are torch's, but its source does not import torch"
            )
        model = model_class()
        model.load(folder, device)
        memory = memory or OomLimit()
        memory.be_on(device_mark(device))
        runtime = cls(model=model, manifest=manifest, device=device, memory=memory)
        runtime.warm_up()
        return runtime

    def close(self) -> None:
        """Let go of the model and all that it holds, whoever still refers to it."""
        vars(self._model).clear()
        vars(self).clear()

    def to_host(self) -> None:
        """Have the model copied to host memory; until `to_device` it runs nothing."""
        self._model.to_host()

    def to_device(self) -> None:
        """Have the model copied back."""
        self._model.to_device(self._device)

    def warm_up(self) -> None:
        """Run the examples alone and as a full batch, so that no job pays for what happens once.

        A compiled model runs in each of its batch sizes, so that each is compiled.

        Raises:
            InvalidModel: if an example fails.
        """
        examples = [orjson.dumps(example) for example in self.manifest.examples]
        options = self.manifest.options
        sizes = options.bucket_sizes(self.max_batch) if options.compile else (1, self.max_batch)
        for size in sizes if examples else ():
            for result in self.run([examples[i % len(examples)] for i in range(size)]):
                if not result.ok:
                    raise InvalidModel(f"{self.manifest.ref}: an example fails: {result.body.decode()}")

    # --- the stages

    def stage(self, raw: bytes, state: bytes = b"", seed: int | None = None) -> Staged | ItemResult:
        """Make one input ready for a batch; if it does not fit the schema, or a hook raises, answer how it failed.

        Args:
            raw: the input.
            state: how far a pass before was that did not end, if anything is kept of it.
            seed: what its random numbers are drawn from, if that was said.
        """
        try:
            return self._staged(self.prepare(raw), raw, state, seed)
        except Exception as error:  # noqa: BLE001 - an author's hook may raise anything, and only this item is concerned
            return failed(error)

    def stage_all(self, inputs: Sequence[Given]) -> list[Staged | ItemResult]:
        """Make several inputs ready as `stage` does one: together, if the author says how."""
        if self._preprocess_all is None or len(inputs) < 2:
            return [self.stage(*given) for given in inputs]
        decoded = [attempt(self._decode, raw) for raw, *_ in inputs]
        good = [item for item in decoded if type(item) is not ItemResult]
        try:
            found = iter(_one_each(self._preprocess_all(good), len(good)))
        except Exception as error:  # noqa: BLE001 - an author's hook may raise anything, and which item it was may show
            self._log_apart(error)
            return [self.stage(*given) for given in inputs]
        return [
            item if type(item) is ItemResult else self._accepted(next(found), given)
            for item, given in zip(decoded, inputs, strict=True)
        ]

    def forward(self, batch: Sequence[Staged | ItemResult]) -> Forwarded:
        """Run a batch; what failed before is passed by, and no item can fail another one.

        Raises:
            Exception: torch's AcceleratorError, after which the device is of no more use to this process.
        """
        if self.spares and self.is_sized and self.memory.alone < math.inf:
            batch = [self._spared(staged) for staged in batch]
        good = [staged for staged in batch if type(staged) is Staged]
        items, costs = map(list, zip(*good, strict=True)) if good else ([], [])
        self._running = batch
        try:
            isolated = self._isolation.run(items, costs)
        finally:
            self._running = ()
        rows = isolated.rows
        if len(good) < len(batch):
            found = iter(rows)
            rows = [next(found) if type(staged) is Staged else staged for staged in batch]
        padded = len(costs) * max(costs, default=0.0)
        told = [staged.cost if type(staged) is Staged else 0.0 for staged in batch] if self.is_sized else ()
        return Forwarded(rows, padded, len(costs), isolated.runs, padded - sum(costs), told)

    def _spared(self, staged: Staged | ItemResult) -> Staged | ItemResult:
        """The item, unless it would run out of memory even alone."""
        return SPARED if type(staged) is Staged and staged.cost >= self.memory.alone else staged

    def finish(self, row: Any) -> ItemResult:
        """Make one row a result, or answer how its item failed."""
        if type(row) is ItemResult:
            return row
        try:
            if isinstance(row, Exception):
                return failed(row)
            return ItemResult(True, None, self._encode(row if self._postprocess is None else self._postprocess(row)))
        except Exception as error:  # noqa: BLE001 - an author's hook may raise anything, and only this item is concerned
            return failed(error)

    def inference(self) -> AbstractContextManager[Any]:
        """What a thread has to enter around the stages: no gradients, if the model uses torch."""
        torch = sys.modules.get("torch")
        return _NOTHING if torch is None else torch.inference_mode()

    def run(self, raws: Sequence[bytes], seeds: Sequence[int | None] = ()) -> list[ItemResult]:
        """All stages for one batch: one result per input, in order; with `seeds`, one for each.

        Raises:
            Exception: as `forward`.
        """
        inputs = [(raw, b"", seed) for raw, seed in zip(raws, seeds or [None] * len(raws), strict=True)]
        with self.inference():
            return [self.finish(row) for row in self.forward(self.stage_all(inputs)).rows]

    def checkpoint(self) -> list[bytes]:
        """How far each input of the running batch is, empty where nothing can be kept; beside `forward`, by any thread.

        Nothing is kept of a pass over a part of the batch, as after a failure, nor where the author's hook fails.
        """
        batch = self._running
        if self._checkpoint is None or not batch or not self._is_whole:
            return []
        try:
            with self.inference():
                found = iter(self._checkpoint())
                states = [bytes(memoryview(next(found) or b"")) if type(it) is Staged else b"" for it in batch]
        except Exception:
            log.exception("%s: nothing is kept of the pass: its checkpoint fails", self.manifest.ref)
            return []
        # What was asked for may be of the next batch already.
        return states if self._running is batch else []

    def listen(self, hear: Callable[[int, float, str], None]) -> None:
        """Hand on what the model says of how far inputs are: their places in the batch, a fraction of 1, words."""

        def said(place: int, fraction: float, message: str) -> None:
            # Those that failed before the pass have no place in it.
            good = [i for i, staged in enumerate(self._running) if type(staged) is Staged]
            if 0 <= place < len(good) - self._isolation.first:
                hear(good[self._isolation.first + place], fraction, message)

        self._model.on_progress = said

    # --- the hooks

    def _log_apart(self, error: Exception) -> None:
        """Say once why inputs that came together are preprocessed one by one: each of them says itself if it fails."""
        if not self._has_logged_apart:
            log.warning("%s: preprocess_all failed, so each goes through preprocess: %r", self.manifest.ref, error)
            self._has_logged_apart = True

    def _accepted(self, item: Any, given: Given) -> Staged | ItemResult:
        """One of the items that `preprocess_all` made, or refused."""
        try:
            return failed(item) if isinstance(item, Exception) else self._staged(item, *given)
        except Exception as error:  # noqa: BLE001 - an author's hook may raise anything, and only this item is concerned
            return failed(error)

    def _staged(self, item: Any, raw: bytes, state: bytes, seed: int | None) -> Staged:
        if seed is not None:
            item = self._seeded(item, seed)
        if state and self._checkpoint is not None:
            item = self._resumed(raw, item, state, seed)
        cost = self._usable_cost(item) if self.is_sized else 1.0
        return Staged(item if self._copy is None else self._copy.send(item), cost)

    def _seeded(self, item: object, seed: int | None) -> object:
        """The item with its seed; as it is if the model takes none, as a version may that only gets copies of jobs."""
        return item if seed is None or self._seed is None else self._seed(item, seed)

    def _resumed(self, raw: bytes, item: object, state: bytes, seed: int | None) -> object:
        try:
            return self._model.resume(item, state)
        except Exception:
            log.exception("%s: a job begins anew: what was kept of its pass cannot be used", self.manifest.ref)
            return self._seeded(self.prepare(raw), seed)

    def prepare(self, raw: bytes) -> object:
        """Decode, check and preprocess one input.

        Raises:
            InputError: if the input does not fit the schema, or the model refuses it.
        """
        item = self._decode(raw)
        return item if self._preprocess is None else self._preprocess(item)

    def cost(self, prepared: object) -> int:
        """What the author says a prepared item costs."""
        return self._model.cost(prepared)

    def _usable_cost(self, item: object) -> float:
        """The author's cost, or 1 where it is none: it only helps to form batches, so it fails nothing."""
        cost = attempt(self._model.cost, item)
        return float(cost) if isinstance(cost, int | float) and 0 <= cost < math.inf else 1.0

    def _pass(self, items: Sequence[Any]) -> Sequence[Any]:
        """One forward pass over prepared items."""
        if self._checkpoint is not None:
            self._is_whole = len(items) == sum(type(staged) is Staged for staged in self._running)
        ready = list(items) if self._copy is None else self._copy.arrived(items)
        batch = ready if self._preprocess is None else collate(ready, self._device)
        with self._precision():
            rows = split(self._compute(batch), len(items))
        return refuse_not_finite(rows) if self.manifest.options.finite else rows

    def _precision(self) -> AbstractContextManager[Any]:
        torch, wanted = sys.modules.get("torch"), self.manifest.options.autocast
        if torch is None or wanted is None:
            return _NOTHING
        precision: AbstractContextManager[Any] = torch.autocast(
            torch.device(self._device).type, dtype=getattr(torch, wanted)
        )
        return precision

    def _compiled(self, model: Model) -> Compiled:
        options = self.manifest.options
        return Compiled(model.forward, mode=options.compile or "default", buckets=options.bucket_sizes(self.max_batch))


def _one_each(items: Sequence[Any], count: int) -> Sequence[Any]:
    if len(items) != count:
        raise InvalidModel(
            f"preprocess_all returned {len(items)} items for {count} inputs; it must return one for each"
        )
    return items


def _check_place(manifest: Manifest, device: str) -> None:
    """Refuse a version that this worker is not made for, before any of its code is imported."""
    check_requirements(manifest.requires, of=str(manifest.ref))
    if manifest.options.device == "cuda" and not device.startswith("cuda"):
        raise InvalidModel(f"{manifest.ref} runs on cuda only, and this worker's device is {device}")


def _check_memory(manifest: Manifest, device: str) -> None:
    """Refuse a version that says itself that it would not fit."""
    needs_bytes, has_bytes = manifest.options.memory_bytes, device_mark(device).memory_bytes
    if needs_bytes > has_bytes:
        raise InvalidModel(
            f"{manifest.ref} needs {needs_bytes / 1e9:.1f} GB of memory, and {device} has {has_bytes / 1e9:.1f} GB"
            " here; serve it by a larger worker class"
        )
