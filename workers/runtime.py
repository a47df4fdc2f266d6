"""Runtime: one loaded model, and the way of a batch through its hooks. Runs in the child, and in `models check`.

Its own share of an item's time is a few microseconds: hooks that the author did not write are skipped, and types that
need no checking are not checked. torch is never imported here; it is used if the model has imported it.
"""

import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple, Self

import orjson

from headrace.errors import HeadraceError, InputError, InvalidModel
from headrace.jobs import Cause, error_document
from headrace.model import Model
from registry.manifest import Manifest
from registry.signature import overrides, signature_of
from registry.source import find_model
from workers.codec import decoder, encoder
from workers.collate import collate, split

log = logging.getLogger(__name__)

#: More of an exception's text than this helps nobody and costs Redis memory.
MAX_DETAIL = 2000


class ItemResult(NamedTuple):
    """How one input ended: `body` is the result's JSON or an error document."""

    ok: bool
    cause: Cause | None
    body: bytes


class Runtime:
    """A loaded model. `max_batch` is the most inputs that `run` should be given."""

    def __init__(self, *, model: Model, manifest: Manifest, device: str) -> None:
        signature = signature_of(type(model))
        self.manifest = manifest
        self.max_batch = manifest.max_batch
        self._model = model
        self._device = device
        self._last_reported = ""
        self._decode = decoder(signature.input)
        self._encode = encoder(signature.output)
        self._preprocess = model.preprocess if overrides(type(model), "preprocess") else None
        self._postprocess = model.postprocess if overrides(type(model), "postprocess") else None

    @classmethod
    def load(cls, *, folder: Path, manifest: Manifest, device: str) -> Self:
        """Import a version's source, load the model and warm it up; the time that this takes is the author's.

        Raises:
            InvalidModel: if the source cannot be used or an example fails.
            Exception: whatever the author's `load` raises.
        """
        _, model_class = find_model(folder, entry=manifest.entry, digest=manifest.digest)
        model = model_class()
        model.load(folder, device)
        runtime = cls(model=model, manifest=manifest, device=device)
        runtime.warm_up()
        return runtime

    def warm_up(self) -> None:
        """Run the examples alone and as a full batch, so that no job pays for what happens once.

        Raises:
            InvalidModel: if an example fails.
        """
        examples = [orjson.dumps(example) for example in self.manifest.examples]
        if not examples:
            return
        full = [examples[i % len(examples)] for i in range(self.max_batch)]
        for result in [*self.run(examples[:1]), *self.run(full)]:
            if not result.ok:
                raise InvalidModel(f"{self.manifest.ref}: an example fails: {result.body.decode()}")

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

    def run(self, raws: Sequence[bytes]) -> list[ItemResult]:
        """Run a batch: one result per input, in order. No input can fail another one.

        Raises:
            Exception: torch's AcceleratorError, after which the device is of no more use to this process.
        """
        with _inference_mode():
            results = [_attempt(self.prepare, raw) for raw in raws]
            good = [i for i, item in enumerate(results) if type(item) is not ItemResult]
            rows = self._forward([results[i] for i in good])
            for i, row in zip(good, rows, strict=True):
                results[i] = row if type(row) is ItemResult else _attempt(self._finish, row)
            return results

    def _forward(self, items: list[Any]) -> Sequence[Any]:
        """One row per item, an ItemResult where it failed. A batch that fails is halved until the culprit is alone."""
        if not items:
            return []
        try:
            batch = items if self._preprocess is None else collate(items, self._device)
            return split(self._model.forward(batch), len(items))
        except InvalidModel as error:
            return [_failed(error)] * len(items)
        except Exception as error:
            if _is_device_lost(error):
                raise
            failure = _failed(error)
            self._report(failure, error, len(items))
        # Outside of `except`, so that the traceback no longer keeps the failed pass's tensors alive.
        if len(items) == 1:
            return [failure]
        if failure.cause is Cause.OOM:
            _free_device_memory()
        half = len(items) // 2
        return [*self._forward(items[:half]), *self._forward(items[half:])]

    def _finish(self, row: Any) -> ItemResult:
        if isinstance(row, Exception):
            return _failed(row)
        result = row if self._postprocess is None else self._postprocess(row)
        return ItemResult(True, None, self._encode(result))

    def _report(self, failure: ItemResult, error: Exception, items: int) -> None:
        """Log a failing pass with its traceback, once while the same failure repeats."""
        text = failure.body.decode()
        if text != self._last_reported:
            log.warning("%s: a pass over %d items failed: %s", self.manifest.ref, items, text, exc_info=error)
            self._last_reported = text


def _attempt(step: Callable[[Any], Any], value: Any) -> Any:
    """Apply a step to one item; if it raises, answer how the item failed."""
    try:
        return step(value)
    except Exception as error:  # noqa: BLE001 - an author's hook may raise anything, and only this item is concerned
        return _failed(error)


def _failed(error: Exception) -> ItemResult:
    cause = _cause(error)
    detail = error.detail if isinstance(error, HeadraceError) else f"{type(error).__name__}: {error}"
    return ItemResult(False, cause, error_document(cause, detail[:MAX_DETAIL]))


def _cause(error: Exception) -> Cause:
    if isinstance(error, InputError):
        return Cause.INPUT
    return Cause.OOM if _is_out_of_memory(error) else Cause.MODEL


def _is_out_of_memory(error: Exception) -> bool:
    torch = sys.modules.get("torch")
    on_device = torch is not None and isinstance(error, torch.OutOfMemoryError)
    on_cpu = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return isinstance(error, MemoryError) or on_device or on_cpu


def _is_device_lost(error: Exception) -> bool:
    torch = sys.modules.get("torch")
    lost = getattr(torch, "AcceleratorError", None)
    return lost is not None and isinstance(error, lost) and not _is_out_of_memory(error)


def _free_device_memory() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _inference_mode() -> AbstractContextManager[Any]:
    torch = sys.modules.get("torch")
    return nullcontext() if torch is None else torch.inference_mode()
