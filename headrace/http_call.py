"""One HTTP request to the API as a value: what to send, and how to read the answer. No I/O.

`Client` and `AsyncClient` carry out the same calls, so both mean the same by them.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import quote, urlencode

import orjson
from pydantic import BaseModel

from headrace.errors import FieldError, HeadraceError, InternalError, JobNotSucceeded, RequestError, Unavailable
from headrace.job_record import JobRecord

T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    """An HTTP response as the calls read it; the names of headers are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class HttpCall(Generic[T]):
    """A request that may be sent again when its answer was lost: the API knows it again."""

    method: str
    path: str
    read: Callable[[Answer], T]
    headers: Mapping[str, str]
    body: bytes | None = None
    #: How long the API may hold the answer back.
    wait_s: float = 0.0


# --- calls -----------------------------------------------------------------------------------------------------------


def submit(
    model: str,
    value: Any,
    *,
    options: Mapping[str, Any] | None = None,
    webhook: str | Mapping[str, Any] | None = None,
    metadata: Mapping[str, str] | None = None,
    key: str | None = None,
    job_id: str | None = None,
    wait_s: float = 0.0,
) -> HttpCall[JobRecord]:
    """Hand in one job; `webhook` is a URL that is told of its end, `metadata` what the caller calls it by.

    Its `job_id`, or a `key`, or without either a random one makes repeating safe.

    Raises:
        RequestError: if both are given.
    """
    if job_id is not None and key is not None:
        raise RequestError("give either job_id or key: an id of your own is a key already")
    known_by = {} if job_id is not None else {"Idempotency-Key": key or secrets.token_hex(16)}
    return HttpCall(
        method="POST" if job_id is None else "PUT",
        path="/v1/jobs" if job_id is None else _job(job_id),
        read=_record,
        headers={"Content-Type": "application/json"} | known_by | _prefer(wait_s),
        body=to_json(body_of(model, value, options=options, webhook=webhook, metadata=metadata)),
        wait_s=wait_s,
    )


def body_of(
    model: str,
    value: Any,
    *,
    options: Mapping[str, Any] | None = None,
    webhook: str | Mapping[str, Any] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A submission as the API reads it."""
    body: dict[str, Any] = {"model": model, "input": value}
    if options:
        body["options"] = dict(options)
    if webhook:
        body["webhook"] = {"url": webhook} if isinstance(webhook, str) else dict(webhook)
    if metadata:
        body["metadata"] = dict(metadata)
    return body


def get(job_id: str, *, wait_s: float = 0.0) -> HttpCall[JobRecord]:
    """Look at a job, after its end or `wait_s`."""
    return HttpCall(method="GET", path=_job(job_id), read=_record, headers=_prefer(wait_s), wait_s=wait_s)


def result(job_id: str) -> HttpCall[Any]:
    """Fetch the result of a job that succeeded."""

    def read(answer: Answer) -> Any:
        if answer.status == _ACCEPTED:
            raise JobNotSucceeded(_record(answer).explanation())
        return orjson.loads(answer.body)

    return HttpCall(method="GET", path=f"{_job(job_id)}/result", read=read, headers={})


def cancel(job_id: str) -> HttpCall[JobRecord]:
    """Call a job off."""
    return HttpCall(method="POST", path=f"{_job(job_id)}/cancel", read=_record, headers={})


class JobPage(NamedTuple):
    """Some of the jobs that were asked for, newest first; `next` goes on after them, None at the end."""

    records: list[JobRecord]
    next: str | None


def jobs(filters: Mapping[str, str], *, limit: int, cursor: str | None = None) -> HttpCall[JobPage]:
    """A page of the jobs that these `filters` mean, as `job_filters` makes them."""
    chosen = {**filters, "limit": limit, **({"cursor": cursor} if cursor else {})}

    def read(answer: Answer) -> JobPage:
        document = orjson.loads(answer.body)
        return JobPage([JobRecord.from_document(item) for item in document["jobs"]], document.get("next"))

    return HttpCall(method="GET", path=f"/v1/jobs?{urlencode(chosen)}", read=read, headers={})


def job_filters(*, metadata: Mapping[str, str] | None = None, **fields: str | datetime | None) -> dict[str, str]:
    """What the list of jobs is asked for: those of `fields` that say something, and pairs of metadata."""
    told = {
        name: value.isoformat() if isinstance(value, datetime) else str(value)
        for name, value in fields.items()
        if value is not None
    }
    return told | {f"metadata.{name}": value for name, value in (metadata or {}).items()}


def listing(name: str) -> HttpCall[list[dict[str, Any]]]:
    """What `/v1/models`, `/v1/queues` or `/v1/workers` lists."""

    def read(answer: Answer) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = orjson.loads(answer.body)[name]
        return items

    return HttpCall(method="GET", path=f"/v1/{name}", read=read, headers={})


def warm(model: str, *, for_s: int) -> HttpCall[dict[str, Any]]:
    """Have a model loaded before its jobs come."""

    def read(answer: Answer) -> dict[str, Any]:
        document: dict[str, Any] = orjson.loads(answer.body)
        return document

    path = f"/v1/models/{quote(model, safe='')}/warm?for_s={for_s}"
    return HttpCall(method="POST", path=path, read=read, headers={})


def scaling() -> HttpCall[dict[str, Any]]:
    """How many workers there should be, and why."""

    def read(answer: Answer) -> dict[str, Any]:
        document: dict[str, Any] = orjson.loads(answer.body)
        return document

    return HttpCall(method="GET", path="/v1/scaling", read=read, headers={})


def usage(*, first: date | str | None, last: date | str | None, tenant: str | None) -> HttpCall[list[dict[str, Any]]]:
    """What tenants had, by day, model version and tier."""
    chosen = {"from": first, "to": last, "tenant": tenant}
    query = urlencode({name: str(value) for name, value in chosen.items() if value is not None})

    def read(answer: Answer) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = orjson.loads(answer.body)["usage"]
        return items

    return HttpCall(method="GET", path=f"/v1/usage?{query}", read=read, headers={})


def webhook_deliveries(*, limit: int = 50) -> HttpCall[list[dict[str, Any]]]:
    """What was told to webhooks, newest first."""

    def read(answer: Answer) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = orjson.loads(answer.body)["deliveries"]
        return items

    return HttpCall(method="GET", path=f"/v1/webhook-deliveries?limit={limit}", read=read, headers={})


def replay_webhook(delivery_id: str) -> HttpCall[dict[str, Any]]:
    """Have a webhook delivered again."""

    def read(answer: Answer) -> dict[str, Any]:
        document: dict[str, Any] = orjson.loads(answer.body)
        return document

    path = f"/v1/webhook-deliveries/{quote(delivery_id, safe='')}/replay"
    return HttpCall(method="POST", path=path, read=read, headers={})


def replay_webhooks(*, status: str, since: str | None, limit: int) -> HttpCall[list[str]]:
    """Have many webhooks delivered again."""
    chosen = {"status": status, "since": since, "limit": limit}
    query = urlencode({name: value for name, value in chosen.items() if value is not None})

    def read(answer: Answer) -> list[str]:
        ids: list[str] = orjson.loads(answer.body)["replayed"]
        return ids

    return HttpCall(method="POST", path=f"/v1/webhook-deliveries:replay?{query}", read=read, headers={})


def dead_letters(
    *, limit: int = 50, model: str | None = None, cause: str | None = None
) -> HttpCall[list[dict[str, Any]]]:
    """Jobs that were given up, newest first."""
    chosen = {"limit": limit, "model": model, "cause": cause}
    query = urlencode({name: value for name, value in chosen.items() if value is not None})

    def read(answer: Answer) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = orjson.loads(answer.body)["dead_letters"]
        return items

    return HttpCall(method="GET", path=f"/v1/dead-letters?{query}", read=read, headers={})


def dead_letter(job_id: str) -> HttpCall[dict[str, Any]]:
    """A job that was given up, with its input."""

    def read(answer: Answer) -> dict[str, Any]:
        document: dict[str, Any] = orjson.loads(answer.body)
        return document

    return HttpCall(method="GET", path=f"/v1/dead-letters/{quote(job_id, safe='')}", read=read, headers={})


def redrive(job_id: str) -> HttpCall[JobRecord]:
    """Send a job that was given up again."""
    path = f"/v1/dead-letters/{quote(job_id, safe='')}/redrive"
    return HttpCall(method="POST", path=path, read=_record, headers={})


_ACCEPTED = 202


def _job(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"


def _prefer(wait_s: float) -> dict[str, str]:
    return {"Prefer": f"wait={wait_s:.3f}".rstrip("0").rstrip(".")} if wait_s > 0 else {}


def _record(answer: Answer) -> JobRecord:
    return JobRecord.from_document(orjson.loads(answer.body))


def to_json(value: Any) -> bytes:
    """A body; numpy's arrays and pydantic's models may be in it.

    Raises:
        RequestError: if anything else is that JSON has no word for.
    """
    try:
        return orjson.dumps(value, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError as error:
        raise RequestError(f"the input cannot be written as JSON: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} is not JSON")


# --- reading answers -------------------------------------------------------------------------------------------------


def read_answer(call: HttpCall[T], answer: Answer) -> T:
    """What the call asked for.

    Raises:
        HeadraceError: of the class that the API's problem document names.
    """
    if answer.status >= 400:
        raise problem(answer)
    try:
        return call.read(answer)
    except (ValueError, KeyError, TypeError) as error:
        raise InternalError(f"{call.method} {call.path} was not answered by a Headrace API: {error}") from error


def problem(answer: Answer) -> HeadraceError:
    """The error that an answer stands for, also if it came from something between us and the API."""
    document = _problem_document(answer.body)
    kind = _KINDS.get(document.get("code", "")) or _kind_by_status(answer.status)
    detail = document.get("detail") or f"the server answered {answer.status}"
    fields = [FieldError(item["pointer"], item["detail"], item["code"]) for item in document.get("errors", ())]
    return kind(detail, fields=fields, retry_after_s=_retry_after_s(answer, document))


def _problem_document(body: bytes) -> Mapping[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def _retry_after_s(answer: Answer, document: Mapping[str, Any]) -> float | None:
    if "retry_after_ms" in document:
        return float(document["retry_after_ms"]) / 1000
    header = answer.headers.get("retry-after", "")
    return float(header) if header.isdecimal() else None


def _kind_by_status(status: int) -> type[HeadraceError]:
    if status in {429, 502, 503, 504}:
        return Unavailable
    return RequestError if status < 500 else InternalError


def _tree(kind: type[HeadraceError]) -> dict[str, type[HeadraceError]]:
    kinds = {kind.code: kind}
    for child in kind.__subclasses__():
        kinds |= _tree(child)
    return kinds


_KINDS = _tree(HeadraceError)
