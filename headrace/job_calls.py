"""The calls about jobs: hand one in, look at it, fetch its result, call it off, list many."""

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from headrace.endpoints import ENDPOINT_PREFIX
from headrace.errors import JobNotSucceeded, RequestError
from headrace.http_call import JSON, Answer, HttpCall, at, read_record, to_json, with_query
from headrace.job_record import JobRecord

_ACCEPTED = 202
_NOT_CHANGED = 304


def submit(
    model: str,
    value: Any,
    *,
    options: Mapping[str, Any] | None = None,
    webhook: str | Mapping[str, Any] | None = None,
    metadata: Mapping[str, str] | None = None,
    fairness_key: str | None = None,
    key: str | None = None,
    job_id: str | None = None,
    wait_s: float = 0.0,
) -> HttpCall[JobRecord]:
    """Hand in one job; `webhook` names who is told of its end (URL or `ep_…`), `metadata` what the caller calls it by.

    Its `job_id`, or a `key`, or without either a random one makes repeating safe.

    Raises:
        RequestError: if both are given.
    """
    if job_id is not None and key is not None:
        raise RequestError("give either job_id or key: an id of your own is a key already")
    known_by = {} if job_id is not None else {"Idempotency-Key": key or secrets.token_hex(16)}
    return HttpCall(
        method="POST" if job_id is None else "PUT",
        path="/v1/jobs" if job_id is None else at("jobs", job_id),
        read=read_record,
        headers={**JSON, **known_by, **_prefer(wait_s)},
        body=to_json(
            body_of(model, value, options=options, webhook=webhook, metadata=metadata, fairness_key=fairness_key)
        ),
        wait_s=wait_s,
    )


def body_of(
    model: str,
    value: Any,
    *,
    options: Mapping[str, Any] | None = None,
    webhook: str | Mapping[str, Any] | None = None,
    metadata: Mapping[str, str] | None = None,
    fairness_key: str | None = None,
) -> dict[str, Any]:
    """A submission as the API reads it."""
    body: dict[str, Any] = {"model": model, "input": value}
    if options:
        body["options"] = dict(options)
    if webhook:
        body["webhook"] = receiver(webhook) if isinstance(webhook, str) else dict(webhook)
    if metadata:
        body["metadata"] = dict(metadata)
    if fairness_key:
        body["fairness_key"] = fairness_key
    return body


def receiver(named: str) -> dict[str, str]:
    """Who is told, by a URL or the id of a registered receiver."""
    return {"endpoint" if named.startswith(ENDPOINT_PREFIX) else "url": named}


def get(job_id: str, *, wait_s: float = 0.0) -> HttpCall[JobRecord]:
    """Look at a job, after its end or `wait_s`."""
    return HttpCall(method="GET", path=at("jobs", job_id), read=read_record, headers=_prefer(wait_s), wait_s=wait_s)


def changed(job_id: str, *, tag: str, wait_s: float) -> HttpCall[JobRecord | None]:
    """Look at a job once it is another than the record with this tag; None if it is not within `wait_s`."""

    def read(answer: Answer) -> JobRecord | None:
        return None if answer.status == _NOT_CHANGED else read_record(answer)

    headers = {**_prefer(wait_s), "If-None-Match": tag}
    return HttpCall(method="GET", path=at("jobs", job_id), read=read, headers=headers, wait_s=wait_s)


def result(job_id: str) -> HttpCall[Any]:
    """Fetch the result of a job that succeeded."""

    def read(answer: Answer) -> Any:
        if answer.status == _ACCEPTED:
            raise JobNotSucceeded(read_record(answer).explanation())
        return orjson.loads(answer.body)

    return HttpCall(method="GET", path=f"{at('jobs', job_id)}/result", read=read)


def cancel(job_id: str) -> HttpCall[JobRecord]:
    """Call a job off."""
    return HttpCall(method="POST", path=f"{at('jobs', job_id)}/cancel", read=read_record)


class JobPage(NamedTuple):
    """Some of the jobs that were asked for, newest first; `next` goes on after them, None at the end."""

    records: list[JobRecord]
    next: str | None


def jobs(filters: Mapping[str, str], *, limit: int, cursor: str | None = None) -> HttpCall[JobPage]:
    """A page of the jobs that these `filters` mean, as `job_filters` makes them."""
    path = with_query("/v1/jobs", {**filters, "limit": limit, "cursor": cursor or None})

    def read(answer: Answer) -> JobPage:
        document = orjson.loads(answer.body)
        return JobPage([JobRecord.from_document(item) for item in document["jobs"]], document.get("next"))

    return HttpCall(method="GET", path=path, read=read)


def job_filters(*, metadata: Mapping[str, str] | None = None, **fields: str | datetime | None) -> dict[str, str]:
    """What the list of jobs is asked for: those of `fields` that say something, and pairs of metadata."""
    told = {
        name: value.isoformat() if isinstance(value, datetime) else str(value)
        for name, value in fields.items()
        if value is not None
    }
    return told | {f"metadata.{name}": value for name, value in (metadata or {}).items()}


def _prefer(wait_s: float) -> dict[str, str]:
    return {"Prefer": f"wait={wait_s:.3f}".rstrip("0").rstrip(".")} if wait_s > 0 else {}
