"""An exact integer function, so that every result can be checked, and inputs that bring its process down."""

import ctypes
import os
import time
from typing import Literal

from pydantic import BaseModel

from headrace.model import Model


class Question(BaseModel):
    """`sleep_ms` lengthens the pass of the whole batch; `act` is what happens instead of an answer."""

    x: int
    sleep_ms: int = 0
    act: Literal["answer", "exit", "segfault", "hang"] = "answer"


class Exact(Model, max_batch=8):
    """Answers x² + 1."""

    examples = (Question(x=1),)

    def forward(self, batch: list[Question]) -> list[int]:
        """Sleep as long as the slowest question asks, then answer each."""
        for question in batch:
            _act(question)
        time.sleep(max(question.sleep_ms for question in batch) / 1000)
        return [question.x**2 + 1 for question in batch]


def _act(question: Question) -> None:
    if question.act == "exit":
        os._exit(3)
    if question.act == "segfault":
        ctypes.string_at(0)
    if question.act == "hang":
        time.sleep(3600)
