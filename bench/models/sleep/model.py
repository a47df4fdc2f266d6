"""Sleeps as long as `parameters.json` says, once a batch: a forward pass that needs no processor."""

import json
import time
from pathlib import Path

from headrace.model import Model

_PARAMETERS = json.loads((Path(__file__).parent / "parameters.json").read_text())


class Sleep(Model, max_batch=int(_PARAMETERS["max_batch"])):
    """Handles raw JSON."""

    examples = (b'"hello"',)

    def forward(self, batch: list[bytes]) -> list[bytes]:
        """Answer each input with itself, after the pass."""
        time.sleep(_PARAMETERS["forward_ms"] / 1000)
        return batch
