"""Answers what it is asked, unless that is poison. BENCH_PASSES names a file for each pass: size, end, process."""

import json
import os
import time
from pathlib import Path
from typing import Any

from headrace.model import Model

_PARAMETERS = json.loads((Path(__file__).parent / "parameters.json").read_text())


class Poison(Model, max_batch=int(_PARAMETERS["max_batch"])):
    """Fails as its input says; passes over more than `fits` items run out of memory."""

    examples = ({"act": "answer"},)

    def forward(self, batch: list[dict[str, Any]]) -> list[str]:
        """Answer each input."""
        acts = [item["act"] for item in batch]
        fits = len(batch) <= _PARAMETERS["fits"]
        _note(len(batch), "ok" if fits and set(acts) == {"answer"} else "failed")
        if not fits:
            raise MemoryError
        if "exit" in acts:
            os._exit(3)
        if "raise" in acts:
            raise ValueError("poison")
        time.sleep(max(item.get("sleep_ms", 0) for item in batch) / 1000)
        return acts


def _note(size: int, end: str) -> None:
    with open(os.environ["BENCH_PASSES"], "a") as passes:  # noqa: PTH123 - one write, which the kernel appends whole
        passes.write(f"{size} {end} {os.getpid()}\n")
