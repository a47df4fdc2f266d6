"""Jobs that were given up, and those that were handed in again."""

from typing import Any

from pydantic import Field

from api.schemas.jobs import JobRecord
from api.schemas.shape import Shape


class DeadLetterList(Shape):
    """Jobs that were given up, newest first."""

    dead_letters: list[JobRecord]
    next: int | None = Field(description="`before` of the next page; null if this is the last.")


class DeadLetterRecord(JobRecord):
    """A job that was given up, with its input."""

    input: Any = Field(description="As it was submitted; null once it is no longer kept.")


class RedrivenLetter(Shape):
    """A job that was given up, and the one that was made of it."""

    id: str
    job: str = Field(description="Id of the new job.")


class RedrivenList(Shape):
    """What was sent again, the oldest first."""

    redriven: list[RedrivenLetter]
