"""A submission: what the body says, checked before anything is queued, and the job that it becomes. Pure."""

import hashlib
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field

from headrace.addresses import Egress
from headrace.errors import FieldError, QueueFull
from headrace.jobs import NewJob
from headrace.model_ref import ModelRef
from headrace.moments import Moment, MomentField
from headrace.reading import invalid_fields, parse_body
from headrace.tiers import Tier
from headrace.webhook_url import MAX_URL_LENGTH, check_webhook_url


class Options(BaseModel):
    """How a job is to be run. Unknown options are refused, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tier: Tier = Field(Tier.STANDARD, description="How urgent it is.")
    max_attempts: int | None = Field(
        None, strict=True, ge=1, le=100, description="Forward passes begun before it fails."
    )
    not_before: MomentField | None = Field(None, description="Do not start it earlier.")
    start_by: MomentField | None = Field(None, description="Expire it if it has not begun by then.")
    deadline: MomentField | None = Field(None, description="Expire it if it has not ended by then.")


class Webhook(BaseModel):
    """Who is told of a job's end."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(
        min_length=1,
        max_length=MAX_URL_LENGTH,
        description="Gets a signed POST (Standard Webhooks) when the job has ended; https, at a public address.",
    )


class SubmitBody(BaseModel):
    """The body of `POST /v1/jobs`."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [{"model": "embedder", "input": {"text": "hello"}, "options": {"tier": "priority"}}]
        },
    )

    model: str = Field(min_length=1, description="`name` for the released version, or `name@3` for one of them.")
    input: Any = Field(description="One input, as the model's `input_schema` says.")
    options: Options = Options()
    webhook: Webhook | None = None


def parse_submission(raw: bytes) -> SubmitBody:
    """Read the body.

    Raises:
        MalformedRequest: if it is not JSON.
        InvalidInput: naming each field that is missing, unknown or wrong.
    """
    return parse_body(raw, SubmitBody)


def fingerprint(raw: bytes) -> str:
    """What makes two bodies the same request: their JSON, whatever its spacing and order of fields."""
    canonical = orjson.dumps(orjson.loads(raw), option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(canonical).hexdigest()[:32]


def new_job(body: SubmitBody, *, job_id: str, tenant: str, ref: ModelRef, max_attempts: int, now_ms: int) -> NewJob:
    """The job that a body asks for; `max_attempts` stands where the body says nothing.

    Raises:
        InvalidInput: if its times cannot all be kept.
    """
    options = body.options
    not_before_ms = _ms(options.not_before, now_ms)
    start_by_ms, deadline_ms = _ms(options.start_by, now_ms), _ms(options.deadline, now_ms)
    _check_limit("start_by", start_by_ms, not_before_ms, now_ms)
    _check_limit("deadline", deadline_ms, not_before_ms, now_ms)
    return NewJob(
        id=job_id,
        tenant=tenant,
        ref=ref,
        tier=options.tier,
        input=orjson.dumps(body.input),
        max_attempts=options.max_attempts or max_attempts,
        not_before_ms=not_before_ms,
        start_by_ms=start_by_ms,
        deadline_ms=deadline_ms,
    )


def queue_full(job: NewJob, depth: int) -> QueueFull:
    """The error for a job that is one too many."""
    return QueueFull(
        f"{depth} jobs wait for {job.ref} in tier {job.tier}, as many as may; try again later or in another tier",
        retry_after_s=5,
    )


def webhook_url(body: SubmitBody, egress: Egress) -> str:
    """The URL that is told of the job's end, empty if none is.

    Raises:
        InvalidInput: if webhooks may not be sent there.
    """
    if body.webhook is None:
        return ""
    try:
        return check_webhook_url(body.webhook.url, egress)
    except ValueError as error:
        raise invalid_fields([FieldError("/webhook/url", str(error), "webhook_url")]) from error


def _ms(moment: Moment | None, now_ms: int) -> int:
    return moment.at(now_ms) if moment else 0


def _check_limit(name: str, limit_ms: int, not_before_ms: int, now_ms: int) -> None:
    if not limit_ms:
        return
    if limit_ms <= now_ms:
        problem = "is already over; name a time to come"
    elif limit_ms <= not_before_ms:
        problem = "comes before not_before, so the job could never run"
    else:
        return
    raise invalid_fields([FieldError(f"/options/{name}", problem, "impossible_time")])
