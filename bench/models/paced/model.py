"""Sleeps as a padded batch would take: a floor, and so much for each unit of items times the largest item."""

import json
import os
import time
from pathlib import Path

from headrace.model import Model

_PARAMETERS = json.loads((Path(__file__).parent / "parameters.json").read_text())
#: How many times slower this process is than others.
_SLOWNESS = float(os.environ.get("HEADRACE_BENCH_SLOWNESS", "1"))


class Paced(Model, max_batch=int(_PARAMETERS["max_batch"])):
    """An input is its own cost; all inputs of one cost are a model of fixed passes."""

    examples = (1,)

    def cost(self, item: int) -> int:
        """The input itself."""
        return item

    def forward(self, batch: list[int]) -> list[int]:
        """Answer each input with itself, after the pass."""
        pass_ms = _PARAMETERS["floor_ms"] + _PARAMETERS["cost_ms"] * len(batch) * max(batch)
        time.sleep(pass_ms * _SLOWNESS / 1000)
        return batch
