"""The bare loop over a model: its hooks one after the other, batch by batch, in one process with nothing around it.

`python -m bench.bare_loop FOLDER ENTRY INPUTS DEVICE` loads the model in FOLDER; for each line `BATCH COUNT` on its
standard input it runs the first COUNT lines of INPUTS in batches of that size and prints the seconds that it took.
"""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

from bench.service import ROOT
from headrace.environments import child_environment
from headrace.model import Model
from registry.signature import overrides, prepares_together, signature_of
from registry.source import find_model
from workers.codec import decoder, encoder
from workers.collate import collate, split


class BareLoop:
    """Decode, preprocess, forward, postprocess and encode, in sequence."""

    def __init__(self, model: Model, device: str) -> None:
        signature = signature_of(type(model))
        self._model = model
        self._device = device
        self._decode = decoder(signature.input)
        self._encode = encoder(signature.output)
        self._is_together = prepares_together(type(model))
        self._is_collated = overrides(type(model), "preprocess")
        wanted = model.options.autocast
        kind = torch.device(device).type
        self._precision = torch.autocast(kind, getattr(torch, wanted or "bfloat16"), enabled=wanted is not None)

    def run(self, inputs: Sequence[bytes], batch: int) -> list[bytes]:
        """Run all inputs; answers the results."""
        results: list[bytes] = []
        for start in range(0, len(inputs), batch):
            results += self._batch(inputs[start : start + batch])
        return results

    def _batch(self, inputs: Sequence[bytes]) -> list[bytes]:
        model = self._model
        decoded = [self._decode(raw) for raw in inputs]
        items = list(model.preprocess_all(decoded)) if self._is_together else list(map(model.preprocess, decoded))
        with self._precision:
            rows = model.forward(collate(items, self._device) if self._is_collated else items)
        return [self._encode(model.postprocess(row)) for row in split(rows, len(items))]


class BareProcess:
    """A bare loop in a process of its own, loaded once and run several times.

    Args:
        folder: a model's folder.
        entry: as in a manifest.
        inputs: a file with one input a line.
        device: for `load`.
    """

    def __init__(self, *, folder: Path, entry: str, inputs: Path, device: str = "cpu") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.bare_loop", str(folder), entry, str(inputs), device],
            cwd=ROOT,
            env=child_environment(threads=1),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def seconds(self, batch: int, count: int) -> float:
        """Run the first `count` inputs in batches of this size; answers how long it took."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{batch} {count}\n")
        return float(self._process.stdout.readline())


def main(folder: Path, entry: str, inputs: Path, device: str) -> None:
    """Serve standard input."""
    _, kind = find_model(folder, entry=entry, digest="bare")
    model = kind()
    model.load(folder, device)
    loop, raws = BareLoop(model, device), inputs.read_bytes().splitlines()
    with torch.inference_mode():
        for line in sys.stdin:
            batch, count = map(int, line.split())
            began = time.perf_counter()
            loop.run(raws[:count], batch)
            print(time.perf_counter() - began, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), sys.argv[4])
