"""An exact function of integers, and inputs that do the worst that an input can do.

With GUILTY_LOG in the environment each pass adds its size and its end to that file.
"""

import ctypes
import itertools
import os
import signal
import time
from typing import Literal

from pydantic import BaseModel

from headrace.model import Model

#: Passes over more items run out of memory while one asks for it.
_FITS = 5


class Question(BaseModel):
    """`sleep_ms` lengthens the pass of the whole batch; `act` is what happens instead of an answer."""

    x: int
    sleep_ms: int = 0
    act: Literal[
        "answer", "raise", "large", "infinite", "exit", "early exit", "segfault", "hang", "loop", "kill worker"
    ] = "answer"


class Guilty(Model, max_batch=32, finite=True):
    """Answers x² + 1."""

    examples = (Question(x=1),)

    def preprocess(self, item: Question) -> Question:
        """Bring the process down before any pass, if that is asked for."""
        if item.act == "early exit":
            os._exit(3)
        return item

    def forward(self, batch: list[Question]) -> list[float]:
        """Sleep as long as the slowest question asks, then answer each."""
        too_large = len(batch) > _FITS and any(question.act == "large" for question in batch)
        poisoned = any(question.act == "raise" for question in batch)
        _note(len(batch), "failed" if too_large or poisoned else "ok")
        if too_large:
            raise MemoryError
        for question in batch:
            _act(question)
        time.sleep(max(question.sleep_ms for question in batch) / 1000)
        return [float("inf") if question.act == "infinite" else question.x**2 + 1 for question in batch]


def _act(question: Question) -> None:
    match question.act:
        case "raise":
            raise ValueError(f"{question.x} is poison")
        case "exit":
            os._exit(3)
        case "segfault":
            ctypes.string_at(0)
        case "hang":
            time.sleep(3600)
        case "loop":
            # An endless loop in C that never lets another thread run.
            sum(itertools.repeat(0))
        case "kill worker":
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(3600)


def _note(size: int, end: str) -> None:
    if path := os.environ.get("GUILTY_LOG"):
        with open(path, "a") as log:  # noqa: PTH123 - one write, which the kernel appends whole
            log.write(f"{size} {end}\n")
