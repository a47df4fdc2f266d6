"""The embedder of `examples/`, which writes down when it was in its forward pass."""

import json
import os
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    # The benchmark copies the example into this folder; a type checker finds it where it is.
    from examples.embedder.model import Embedder
else:
    from .embedder.model import Embedder

_PARAMETERS = json.loads((Path(__file__).parent / "parameters.json").read_text())
#: Monotonic seconds of the begin and the end of a pass, and its items.
_PASS = struct.Struct("=ddI")


class TimedEmbedder(Embedder, max_batch=int(_PARAMETERS["max_batch"]), autocast=_PARAMETERS.get("autocast")):
    """Embeds sentences."""

    def load(self, files: Path, device: str) -> None:
        """As the embedder."""
        super().load(files, device)
        self._passes = os.open(_PARAMETERS["passes"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def forward(self, batch: list[list[int]]) -> torch.Tensor:
        """As the embedder, and a line in the file of passes."""
        began = time.monotonic()
        rows = super().forward(batch)
        if rows.is_cuda:
            torch.cuda.synchronize()
        os.write(self._passes, _PASS.pack(began, time.monotonic(), len(batch)))
        return rows
