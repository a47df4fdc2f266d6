"""JobRecord: a job as the API shows it, for programs and for notebooks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any, Self

import orjson

from headrace.errors import JobNotSucceeded
from headrace.jobs import JobStatus

#: Of a result that is shown.
_LONGEST_SHOWN = 300


@dataclass(frozen=True, kw_only=True)
class JobRecord:
    """A job as the API shows it; `document` is all that was said."""

    id: str
    status: JobStatus
    reason: str | None
    document: Mapping[str, Any] = field(repr=False)
    #: By which the API knows this very record again (ETag); empty if it came in a list.
    tag: str = field(default="", repr=False, compare=False)

    @classmethod
    def from_document(cls, document: Mapping[str, Any], *, tag: str = "") -> Self:
        """Read what the API said."""
        status = JobStatus(document["status"])
        return cls(id=document["id"], status=status, reason=document.get("reason"), document=document, tag=tag)

    @property
    def is_terminal(self) -> bool:
        """True once it can never change again."""
        return self.status.is_terminal

    def result(self) -> Any:
        """The result that came with the record.

        Raises:
            JobNotSucceeded: if the job ended without one, or has not ended.
        """
        if self.status is not JobStatus.SUCCEEDED:
            raise JobNotSucceeded(self.explanation())
        return self.document.get("result")

    def explanation(self) -> str:
        """One sentence about how it is and why."""
        said = f"job {self.id} is {self.status}"
        if error := self.document.get("error"):
            return f"{said}: {error['cause']}: {error['detail']}"
        why = self.document.get("reason_detail") or self.reason
        return f"{said}: {why}" if why else said

    @property
    def progress(self) -> str:
        """How far its pass is, as its model says, in words: `40% denoising`; empty if it said nothing."""
        said = self.document.get("progress") or {}
        return f"{said['fraction']:.0%} {said['message']}".strip() if said else ""

    def __repr__(self) -> str:
        model = self.document.get("model") or {}
        of = f", {model['name']}@{model['version']}" if model else ""
        return f"JobRecord({self.id!r}, {self.status}{of})"

    def _repr_html_(self) -> str:
        """What a notebook shows: a table of what is known, nothing fetched for it."""
        cells = (f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in self._rows())
        return f"<table>{''.join(cells)}</table>"

    def _rows(self) -> Iterator[tuple[str, str]]:
        document = self.document
        yield "job", self.id
        yield "status", str(self.status)
        if why := document.get("reason_detail") or self.reason:
            yield "waits for", why
        if model := document.get("model"):
            yield "model", f"{model['name']}@{model['version']}"
        if tier := document.get("tier"):
            yield "tier", tier
        if progress := self.progress:
            yield "progress", progress
        for name, moment in document.get("times", {}).items():
            if moment:
                yield name, moment
        if error := document.get("error"):
            yield "error", f"{error['cause']}: {error['detail']}"
        if "result" in document:
            yield "result", _shortened(orjson.dumps(document["result"]).decode())


class JobRecords(list[JobRecord]):
    """Jobs, the newest first, which a notebook shows as one table."""

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in ("job", "model", "tier", "status", "why", "created"))
        rows = "".join(f"<tr>{''.join(map(_cell, _row(record)))}</tr>" for record in self)
        return f"<table><tr>{head}</tr>{rows}</table>"


def _row(record: JobRecord) -> Iterator[str]:
    document = record.document
    model, error = document.get("model"), document.get("error")
    yield record.id
    yield f"{model['name']}@{model['version']}" if model else ""
    yield document.get("tier", "")
    yield str(record.status)
    yield error["cause"] if error else record.progress or record.reason or ""
    yield document.get("times", {}).get("created", "")


def _cell(text: str) -> str:
    return f"<td>{escape(text)}</td>"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
