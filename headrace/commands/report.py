"""Report: prints what became of jobs, one line each, in the order in which they were named, as soon as it is known."""

import sys
from collections.abc import Callable, Sequence
from typing import TypeAlias

import orjson
import typer

from headrace.errors import HeadraceError
from headrace.job_record import JobRecord

Outcome: TypeAlias = JobRecord | HeadraceError


class Report:
    """Lines on standard output; what went wrong is kept for the end, so that the exit code tells of it.

    Args:
        line: what is printed of a job; may raise what it ended with.
        names: what each job is called in an error, as `line 3`; empty where the error says it itself.
        as_json: print whole records instead.
    """

    def __init__(self, line: Callable[[JobRecord], bytes], *, names: Sequence[str], as_json: bool) -> None:
        self._line = line
        self._names = names
        self._as_json = as_json
        self._seen = 0
        self._errors: list[tuple[str, HeadraceError]] = []

    def add(self, outcome: Outcome) -> None:
        """The next one."""
        text, error = self._told(outcome)
        if self._as_json and isinstance(outcome, JobRecord):
            text = orjson.dumps(outcome.document)
        if error is not None:
            self._errors.append((self._names[self._seen], error))
        self._seen += 1
        if self._as_json or error is None or len(self._names) > 1:
            # A progress bar moves out of the way of text, not of bytes.
            typer.echo(text.decode() if sys.stdout.isatty() else text)

    def end(self) -> None:
        """All are there.

        Raises:
            HeadraceError: the first that went wrong, with how many did.
        """
        if not self._errors:
            return
        name, error = self._errors[0]
        if len(self._names) == 1:
            raise error
        which = f"{name}: " if name else ""
        went = f"{len(self._errors)} of {len(self._names)} went wrong"
        raise type(error)(f"{went}; the first: {which}{error.detail}") from error

    def _told(self, outcome: Outcome) -> tuple[bytes, HeadraceError | None]:
        try:
            if isinstance(outcome, HeadraceError):
                raise outcome
            return self._line(outcome), None
        except HeadraceError as error:
            return orjson.dumps({"error": error.detail}), error


def id_line(record: JobRecord) -> bytes:
    """The id, to be copied or piped."""
    return record.id.encode()


def status_line(record: JobRecord) -> bytes:
    """The id, and what became of it."""
    return f"{record.id}  {record.status}".encode()


def result_line(record: JobRecord) -> bytes:
    """The result, as JSON."""
    return orjson.dumps(record.result())
