"""Folders with a model in them, written by tests."""

import textwrap
from pathlib import Path

from registry.registry import Registry
from workers.runtime import Runtime

#: What every source below starts with.
_IMPORTS = """
from typing import Any
from pydantic import BaseModel
from headrace.errors import InputError
from headrace.model import Model
"""

#: Doubles a number; refuses negative ones when the batch is formed, and breaks on 13.
DOUBLER = """
class Number(BaseModel):
    value: int

class Doubler(Model, max_batch=8):
    '''Doubles numbers.'''
    examples = (Number(value=1), Number(value=20))

    def preprocess(self, item: Number) -> int:
        if item.value < 0:
            raise InputError("value is negative")
        return item.value

    def forward(self, batch: list[int]) -> list[int]:
        if 13 in batch:
            raise RuntimeError("thirteen")
        return [2 * value for value in batch]

    def postprocess(self, row: int) -> int:
        return row
"""


def write_model(folder: Path, source: str = DOUBLER, *, files: dict[str, str] | None = None) -> Path:
    """Write `model.py` and other files into a folder, made if need be."""
    texts = {"model.py": _IMPORTS + textwrap.dedent(source), **(files or {})}
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def load_model(folder: Path, source: str, *, name: str = "") -> Runtime:
    """Write, push, fetch and load a model on the CPU; `name` is that of its class where there are several."""
    registry, entry = Registry(url="memory://"), f"model.py:{name}" if name else None
    manifest = registry.push(write_model(folder / "source", source), name="m", entry=entry).manifest
    return Runtime.load(folder=registry.fetch(manifest.ref, folder / "cache"), manifest=manifest, device="cpu")
