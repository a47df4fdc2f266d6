"""How remote-control commands answer, and what they act on."""

import functools
from collections.abc import Callable
from typing import Any

from headrace.errors import HeadraceError, InvalidInput
from workers.engine import JobEngine

Answer = dict[str, Any]


def done(text: str) -> Answer:
    """It was done."""
    return {"ok": text}


def refusal(text: str) -> Answer:
    """It was not done; the text says what to do instead."""
    return {"error": text}


def explained(command: Callable[..., Answer]) -> Callable[..., Answer]:
    """Turn our errors into answers: Celery would send their `repr` and log a traceback."""

    @functools.wraps(command)
    def answer(*args: Any, **kwargs: Any) -> Answer:
        try:
            return command(*args, **kwargs)
        except HeadraceError as error:
            return refusal(error.detail)

    return answer


def find_engine(state: Any) -> JobEngine | None:
    """The job engine of this worker; None while it starts or stops, and in a courier."""
    engine: JobEngine | None = getattr(state.consumer.controller, "headrace_engine", None)
    return engine


def engine_of(state: Any) -> JobEngine:
    """The job engine of this worker.

    Raises:
        InvalidInput: if it has none.
    """
    engine = find_engine(state)
    if engine is None:
        raise InvalidInput("this worker runs no jobs: it is a courier, or starts or stops just now")
    return engine
