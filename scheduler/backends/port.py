"""What every back end does: start workers somewhere, list them, end them. It decides nothing."""

from enum import StrEnum
from typing import NamedTuple, Protocol


class BackendState(StrEnum):
    """Where a worker is, as far as its back end can tell."""

    RUNNING = "running"
    #: Was asked to finish what it has and end.
    DRAINING = "draining"
    ENDED = "ended"


class BackendWorker(NamedTuple):
    """One worker that a back end has started."""

    #: The worker's node name, never used twice.
    id: str
    worker_class: str
    #: Position among the workers of its class, from 1; taken over by the worker that replaces it.
    slot: int
    state: BackendState
    #: How it ended; empty while it runs.
    ending: str = ""
    #: What it said last before it ended.
    last_lines: tuple[str, ...] = ()
    #: Grows with each start of the back end.
    number: int = 0


class BackendError(Exception):
    """Raised when a place does not answer, refuses, or has changed since it was looked at; the next step will do."""


class Backend(Protocol):
    """A place where workers run. Each method may raise `BackendError`."""

    def workers(self) -> list[BackendWorker]:
        """Every worker started here; one that ended is listed once more, then forgotten."""

    def start(self, worker_class: str, slot: int) -> BackendWorker:
        """Start a worker of a class."""

    def drain(self, worker_id: str) -> None:
        """Ask a worker to finish what it has and end; asked again, nothing happens."""

    def kill(self, worker_id: str) -> None:
        """End a worker at once; its jobs are rescued when their leases run out."""
