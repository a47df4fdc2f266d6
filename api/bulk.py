"""Many jobs handed in by one request: each is checked by itself, and they are stored a hundred at a time.

One script for all of a thousand jobs would keep every worker waiting while it runs, so they go in pieces, and the next
piece is checked while Redis stores the one before. All or none takes one script, since no other can take back.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson
from starlette.requests import Request

from api.body import read_body
from api.desk import JobDesk
from api.headers import HeaderFields
from api.terms import read_submission
from headrace.errors import (
    BodyTooLarge,
    BulkRefused,
    FieldError,
    HeadraceError,
    InvalidInput,
    MalformedRequest,
    QueueFull,
    Unavailable,
)
from headrace.failpoints import failpoint
from headrace.jobs import NewJob
from headrace.reading import parse_json
from headrace.store_submissions import SubmitOutcome, Submitted
from headrace.submission import fingerprint_of, refusal_of

NDJSON = "application/x-ndjson"

#: Stored by one script: one and a half to two milliseconds of Redis, for which everybody else waits.
_PIECE = 150
#: Problems that a refusal of all names.
_PROBLEMS_SHOWN = 20
#: No key of a caller begins like this.
_KEY = "\0bulk:"


class Item(NamedTuple):
    """What became of one job of many."""

    #: Of the job that there is now; empty if there is none.
    job_id: str = ""
    #: True if it was there before, by its key.
    was_known: bool = False
    error: HeadraceError | None = None


async def read_bulk_body(request: Request, headers: HeaderFields, *, max_bytes: int, max_jobs: int) -> list[Any]:
    """The bodies of many submissions, from a JSON array or from lines of JSON; a line that is none is its error.

    Raises:
        HeadraceError: as `read_body`.
        MalformedRequest: if an array was announced and it is none.
        InvalidInput: if there is no job in it, or too many are.
    """
    raw = await read_body(request, headers, media_types=("application/json", NDJSON), max_bytes=max_bytes)
    is_lines = headers.get("content-type", "").partition(";")[0].strip().lower() == NDJSON
    documents = _lines(raw) if is_lines else parse_json(raw)
    if not isinstance(documents, list):
        problem = f"must be an array of submissions, or lines of them as {NDJSON}"
        raise InvalidInput(f"the body {problem}", fields=[FieldError("", problem, "wrong_type")])
    if not 1 <= len(documents) <= max_jobs:
        problem = f"has {len(documents)} jobs; send 1 to {max_jobs}"
        raise InvalidInput(f"the body {problem}", fields=[FieldError("", problem, "wrong_length")])
    return documents


def _lines(raw: bytes) -> list[Any]:
    documents: list[Any] = []
    for line in raw.split(b"\n"):
        try:
            documents.append(orjson.loads(line))
        except orjson.JSONDecodeError as error:
            if line.strip():
                fields = [FieldError("", str(error), "json_invalid")]
                documents.append(MalformedRequest(f"the line is not JSON: {error}", fields=fields))
    return documents


class BulkDesk:
    """Takes in many jobs of one tenant.

    Args:
        desk: of the tenant.
    """

    def __init__(self, desk: JobDesk) -> None:
        self._desk = desk
        self._most_bytes = desk.settings.max_body_bytes

    async def submit(self, documents: Sequence[Any], *, idempotency_key: str = "") -> list[Item]:
        """Store each job that can be; answers in the order of `documents`.

        Raises:
            Unavailable: if none could be stored because Redis or its disk does not follow.
        """
        now_ms, items, stores = await self._desk.jobs.now_ms(), [Item()] * len(documents), []
        for first in range(0, len(documents), _PIECE):
            piece = documents[first : first + _PIECE]
            jobs = await self._checked(piece, first, now_ms, items, idempotency_key)
            stores.append(asyncio.ensure_future(self._store(jobs, items)))
            await asyncio.sleep(0)  # sends them on their way, and lets others in between
        await asyncio.gather(*stores)
        if all(isinstance(item.error, Unavailable) for item in items) and items[0].error:
            raise items[0].error
        await self._desk.settle()
        return items

    async def submit_whole(self, documents: Sequence[Any], *, idempotency_key: str = "") -> list[Item]:
        """Store all jobs or none.

        Raises:
            BulkRefused: naming those that cannot be.
            QueueFull: if there is no place for all of them.
            Unavailable: if they could not be checked or stored.
        """
        items = [Item()] * len(documents)
        jobs = await self._checked(documents, 0, await self._desk.jobs.now_ms(), items, idempotency_key)
        if len(jobs) == len(documents):
            answers = await self._desk.enqueue_many(list(jobs.values()), is_whole=True)
            self._note(jobs, answers, items)
        if refused := [(number, item.error) for number, item in enumerate(items) if item.error]:
            raise _refusal_of_all(refused)
        await self._desk.settle()
        return items

    async def _checked(
        self, piece: Sequence[Any], first: int, now_ms: int, items: list[Item], key: str
    ) -> dict[int, NewJob]:
        """The jobs that these bodies ask for by their number, from `first`; what is wrong with the others is noted."""
        jobs, admits_all = {}, self._desk.admits_all
        make, last = None, None
        ids = await self._desk.new_ids(len(piece))
        for number, (document, job_id) in enumerate(zip(piece, ids, strict=True), first):
            try:
                if isinstance(document, HeadraceError):
                    raise document
                terms, value = read_submission(document)
                if terms is not last:
                    make, last = self._desk.maker(terms, now_ms=now_ms), terms
                if make is None:
                    job = await self._desk.make_job(terms, value, now_ms=now_ms, job_id=job_id)
                else:
                    job = make(job_id, value)
                if len(job.input) > self._most_bytes:
                    raise _too_large(self._most_bytes)
                if key:
                    request_hash = fingerprint_of({**document, "input": value})
                    job = job._replace(idempotency_key=f"{_KEY}{key}\0{number}", request_hash=request_hash)
                if not admits_all:
                    await self._desk.admit(job)
                jobs[number] = job
            except HeadraceError as error:
                items[number] = Item(error=error)
        return jobs

    async def _store(self, jobs: dict[int, NewJob], items: list[Item]) -> None:
        if not jobs:
            return
        try:
            answers = await self._desk.enqueue_many(list(jobs.values()))
        except HeadraceError as error:
            for number in jobs:
                items[number] = Item(error=error)
            return
        failpoint("api.bulk_piece")
        self._note(jobs, answers, items)

    @staticmethod
    def _note(jobs: dict[int, NewJob], answers: Sequence[Submitted], items: list[Item]) -> None:
        accepted = SubmitOutcome.ACCEPTED
        for (number, job), answer in zip(jobs.items(), answers, strict=True):
            if answer.outcome is accepted:
                items[number] = Item(job.id)
                continue
            error = refusal_of(job, answer)
            items[number] = Item("" if error else answer.member.partition("/")[2], was_known=True, error=error)


def _too_large(most_bytes: int) -> BodyTooLarge:
    problem = f"is longer than {most_bytes} bytes"
    return BodyTooLarge(f"/input {problem}", fields=[FieldError("/input", problem)])


def _refusal_of_all(refused: Sequence[tuple[int, HeadraceError]]) -> HeadraceError:
    guilty = [(number, error) for number, error in refused if not isinstance(error, BulkRefused)]
    # What passes by itself is no fault of the jobs: their caller should come again.
    if passing := next((error for _, error in guilty if isinstance(error, QueueFull | Unavailable)), None):
        return passing
    fields = [
        FieldError(f"/{number}{field.pointer}", field.detail, field.code)
        for number, error in guilty
        for field in error.fields or [FieldError("", error.detail, error.code)]
    ]
    return BulkRefused(
        f"{len(guilty)} jobs cannot be accepted, the first is number {guilty[0][0]}: {guilty[0][1].detail}",
        fields=fields[:_PROBLEMS_SHOWN],
    )
