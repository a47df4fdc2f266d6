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


class RunsNoJobs(Exception):
    """Raised in a courier by commands that are about jobs: who asks all workers means the others."""


def explained(command: Callable[..., Answer]) -> Callable[..., Answer]:
    """Turn our errors into answers: Celery would send their `repr` and log a traceback."""

    @functools.wraps(command)
    def answer(*args: Any, **kwargs: Any) -> Answer:
        try:
            return command(*args, **kwargs)
        except RunsNoJobs:
            return done("nothing to do: a courier runs no jobs")
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
        RunsNoJobs: in a courier.
        InvalidInput: if it has none at the moment.
    """
    if hasattr(state.consumer.controller, "headrace_courier"):
        raise RunsNoJobs
    engine = find_engine(state)
    if engine is None:
        raise InvalidInput("this worker starts or stops just now; ask again")
    return engine
