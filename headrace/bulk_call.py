"""Many submissions as few requests: what each carries, and how its answer is read. No I/O."""

import secrets
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import orjson

from headrace.errors import HeadraceError
from headrace.http_answer import problem
from headrace.http_call import JSON, Answer, HttpCall, to_json
from headrace.job_calls import body_of
from headrace.job_record import JobRecord
from headrace.jobs import JobStatus

#: What became of one: a record that says no more than the id, or why there is none.
Handed: TypeAlias = JobRecord | HeadraceError

#: The API's limits for one request are a setting; these are its defaults, and some room.
MOST_JOBS = 1000
MOST_BYTES = 8_000_000


def submissions(
    model: str,
    values: Iterable[Any],
    *,
    options: Mapping[str, Any] | None = None,
    webhook: str | Mapping[str, Any] | None = None,
    metadata: Mapping[str, str] | None = None,
    fairness_key: str | None = None,
    key: str | None = None,
) -> Iterator[HttpCall[list[Handed]]]:
    """The requests that hand in these inputs, in their order; values are read as requests are sent.

    What else is said holds for each job. Without a `key` a random one makes repeating safe.
    """
    shared = body_of(model, None, options=options, webhook=webhook, metadata=metadata, fairness_key=fairness_key)
    key = key or secrets.token_hex(16)
    bodies = (to_json({**shared, "input": value}) for value in values)
    for number, piece in enumerate(_pieces(bodies)):
        yield HttpCall(
            method="POST",
            path="/v1/jobs:bulk",
            read=_outcomes,
            headers={**JSON, "Idempotency-Key": f"{key}-{number}"},
            body=b"[%b]" % b",".join(piece),
        )


def _pieces(bodies: Iterable[bytes]) -> Iterator[list[bytes]]:
    piece: list[bytes] = []
    size = 0
    for body in bodies:
        if piece and (len(piece) == MOST_JOBS or size + len(body) > MOST_BYTES):
            yield piece
            piece, size = [], 0
        piece.append(body)
        size += len(body) + 1
    if piece:
        yield piece


def _outcomes(answer: Answer) -> list[Handed]:
    return [_outcome(item) for item in orjson.loads(answer.body)["jobs"]]


def _outcome(item: Mapping[str, Any]) -> Handed:
    if error := item["error"]:
        return problem(Answer(error["status"], {}, orjson.dumps(error)))
    return JobRecord.from_document({"id": item["id"], "status": JobStatus.QUEUED})
