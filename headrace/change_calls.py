"""The calls that ask about a job before it is one, change it, try it again and delete it, for the clients."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import orjson

from headrace.http_call import Answer, HttpCall, body_of, to_json
from headrace.job_record import JobRecord

_JSON = {"Content-Type": "application/json"}
_NOTHING_LEFT = 204


def estimate(model: str, value: Any, *, options: Mapping[str, Any]) -> HttpCall[dict[str, Any]]:
    """What would become of a submission."""
    body = to_json(body_of(model, value, options=options))
    return HttpCall(method="POST", path="/v1/estimate", read=_document, headers=_JSON, body=body)


def timeline(job_id: str) -> HttpCall[dict[str, Any]]:
    """What happened to a job, and when."""
    return HttpCall(method="GET", path=f"{_job(job_id)}/timeline", read=_document, headers={})


def amend(job_id: str, changes: Mapping[str, Any]) -> HttpCall[JobRecord]:
    """Change a job that waits."""
    return HttpCall(method="PATCH", path=_job(job_id), read=_record, headers=_JSON, body=to_json(dict(changes)))


def retry(job_id: str) -> HttpCall[JobRecord]:
    """Make a new job of one that ended without a result; always the same one, so that asking again is safe."""
    return HttpCall(method="POST", path=f"{_job(job_id)}/retry", read=_record, headers={})


def erase(job_id: str) -> HttpCall[JobRecord | None]:
    """Delete a job; the record of it that stays for now, None if nothing does."""

    def read(answer: Answer) -> JobRecord | None:
        return None if answer.status == _NOTHING_LEFT else _record(answer)

    return HttpCall(method="DELETE", path=_job(job_id), read=read, headers={})


def _job(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"


def _record(answer: Answer) -> JobRecord:
    return JobRecord.from_document(orjson.loads(answer.body))


def _document(answer: Answer) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads(answer.body)
    return document
