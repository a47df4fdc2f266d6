"""The calls that ask about a job before it is one, change it, try it again and delete it, for the clients."""

from collections.abc import Mapping
from typing import Any

from headrace.http_call import JSON, Answer, HttpCall, at, read_document, read_record, to_json, with_query
from headrace.job_calls import body_of, receiver
from headrace.job_record import JobRecord

_NOTHING_LEFT = 204


def estimate(model: str, value: Any, *, options: Mapping[str, Any]) -> HttpCall[dict[str, Any]]:
    """What would become of a submission."""
    body = to_json(body_of(model, value, options=options))
    return HttpCall(method="POST", path="/v1/estimate", read=read_document, headers=JSON, body=body)


def timeline(job_id: str) -> HttpCall[dict[str, Any]]:
    """What happened to a job, and when."""
    return HttpCall(method="GET", path=f"{at('jobs', job_id)}/timeline", read=read_document)


def amend(job_id: str, changes: Mapping[str, Any]) -> HttpCall[JobRecord]:
    """Change a job that waits; `webhook` as `job_calls.submit` takes it, None for nobody."""
    body = dict(changes)
    if isinstance(webhook := body.get("webhook"), str):
        body["webhook"] = receiver(webhook)
    return HttpCall(method="PATCH", path=at("jobs", job_id), read=read_record, headers=JSON, body=to_json(body))


def retry(job_id: str) -> HttpCall[JobRecord]:
    """Make a new job of one that ended without a result; always the same one, so that asking again is safe."""
    return HttpCall(method="POST", path=f"{at('jobs', job_id)}/retry", read=read_record)


def cancel_many(filters: Mapping[str, str], *, confirm: int | None, cursor: str | None) -> HttpCall[dict[str, Any]]:
    """Call off the open jobs that these filters mean, if they are no more than `confirm`; without it only count."""
    path = with_query("/v1/jobs:cancel", {**filters, "confirm": confirm, "cursor": cursor})
    return HttpCall(method="POST", path=path, read=read_document)


def erase(job_id: str) -> HttpCall[JobRecord | None]:
    """Delete a job; the record of it that stays for now, None if nothing does."""

    def read(answer: Answer) -> JobRecord | None:
        return None if answer.status == _NOTHING_LEFT else read_record(answer)

    return HttpCall(method="DELETE", path=at("jobs", job_id), read=read)
