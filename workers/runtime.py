"""Runtime: one loaded model, and the way of a batch through its hooks. Runs in the child, and in `models check`.

Its own share of an item's time is a few microseconds: hooks that the author did not write are skipped, and types that
need no checking are not checked. torch is never imported here; it is used if the model has imported it.
"""

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Self

import orjson

from headrace.errors import InvalidModel
from headrace.model import Model
from registry.manifest import Manifest
from registry.signature import overrides, signature_of
from registry.source import find_model
from workers.codec import decoder, encoder
from workers.collate import collate, split
from workers.failures import ItemResult, attempt, failed
from workers.isolation import Isolation
from workers.oom_limit import OomLimit


class Runtime:
    """A loaded model. `max_batch` is the most inputs that `run` should be given."""

    def __init__(self, *, model: Model, manifest: Manifest, device: str) -> None:
        signature = signature_of(type(model))
        self.manifest = manifest
        self.max_batch = manifest.max_batch
        self._model = model
        self._device = device
        self._isolation = Isolation(name=str(manifest.ref), forward=self._pass, limit=OomLimit())
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
            results = [attempt(self.prepare, raw) for raw in raws]
            good = [i for i, item in enumerate(results) if type(item) is not ItemResult]
            rows = self._isolation.run([results[i] for i in good]).rows
            for i, row in zip(good, rows, strict=True):
                results[i] = row if type(row) is ItemResult else attempt(self._finish, row)
            return results

    def _pass(self, items: Sequence[Any]) -> Sequence[Any]:
        """One forward pass over prepared items."""
        batch = items if self._preprocess is None else collate(list(items), self._device)
        return split(self._model.forward(batch), len(items))

    def _finish(self, row: Any) -> ItemResult:
        if isinstance(row, Exception):
            return failed(row)
        result = row if self._postprocess is None else self._postprocess(row)
        return ItemResult(True, None, self._encode(result))


def _inference_mode() -> AbstractContextManager[Any]:
    torch = sys.modules.get("torch")
    return nullcontext() if torch is None else torch.inference_mode()
