"""An exact integer function, so that every result can be checked, and inputs that bring its process down.

With EXACT_LOG in the environment each pass adds a line per input to that file: x, the worker's process, milliseconds.
"""

import ctypes
import os
import time
from typing import Literal

from pydantic import BaseModel

from headrace.model import Model

_MIB = 1 << 20
_leaked: list[bytes] = []


class Question(BaseModel):
    """`sleep_ms` lengthens the pass of the whole batch, in which it is said in `steps` how far this one is; `act` is
    what happens instead of an answer."""

    x: int
    sleep_ms: int = 0
    steps: int = 0
    act: Literal["answer", "raise", "nan", "oom", "leak", "exit", "segfault", "hang"] = "answer"


class Exact(Model, max_batch=8):
    """Answers x² + 1."""

    examples = (Question(x=1),)

    def forward(self, batch: list[Question]) -> list[int]:
        """Sleep as long as the slowest question asks, then answer each."""
        _note(batch)
        for question in batch:
            _act(question)
        self._sleep(batch)
        return [float("nan") if question.act == "nan" else question.x**2 + 1 for question in batch]  # type: ignore[misc] # that is the fault

    def _sleep(self, batch: list[Question]) -> None:
        pieces = max(1, *(question.steps for question in batch))
        for piece in range(1, pieces + 1):
            time.sleep(max(question.sleep_ms for question in batch) / 1000 / pieces)
            for place, question in enumerate(batch):
                if piece <= question.steps:
                    self.progress(place, piece / question.steps)


def _act(question: Question) -> None:
    match question.act:
        case "raise":
            raise ValueError(f"{question.x} is poison")
        case "oom":
            raise MemoryError
        case "leak":
            _leaked.append(os.urandom(_MIB))
        case "exit":
            os._exit(3)
        case "segfault":
            ctypes.string_at(0)
        case "hang":
            time.sleep(3600)


def _note(batch: list[Question]) -> None:
    if path := os.environ.get("EXACT_LOG"):
        now_ms = time.time_ns() // 1_000_000
        lines = "".join(f"{question.x} {os.getppid()} {now_ms}\n" for question in batch)
        with open(path, "a") as log:  # noqa: PTH123 - one write, which the kernel appends whole
            log.write(lines)
