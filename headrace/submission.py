"""A submission: what the body says, checked before anything is queued, and the job that it becomes. Pure."""

import hashlib
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, model_validator

from headrace.addresses import Egress
from headrace.bounds import Bounds
from headrace.dedupe import Dedupe, DedupeScope
from headrace.endpoints import MARK, Event
from headrace.errors import (
    BulkRefused,
    FieldError,
    HeadraceError,
    IdempotencyMismatch,
    JobExpired,
    QueueFull,
    TenantQueueFull,
)
from headrace.jobs import MAX_SEED, MAX_VALUE_BYTES, Job, NewJob
from headrace.model_ref import ModelRef
from headrace.moments import Moment, MomentField
from headrace.reading import WHOLE, invalid_fields, parse_body
from headrace.retry_on import RetryOnField
from headrace.store_submissions import Amendment, SubmitOutcome, Submitted
from headrace.tiers import Tier
from headrace.webhook_url import MAX_URL_LENGTH, check_webhook_url

#: What may be noted beside a job.
MOST_METADATA = 16

MetadataKey = Annotated[str, Field(min_length=1, max_length=64)]
MetadataValue = Annotated[str, Field(max_length=512)]


class Options(BaseModel):
    """How a job is to be run. Unknown options are refused, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tier: Tier = Field(Tier.STANDARD, description="How urgent it is.")
    max_attempts: Annotated[int, Field(strict=True, ge=1, le=100), WHOLE] | None = Field(
        None, description="Forward passes begun before it fails."
    )
    not_before: MomentField | None = Field(None, description="Do not start it earlier.")
    start_by: MomentField | None = Field(None, description="Expire it if it has not begun by then.")
    deadline: MomentField | None = Field(None, description="Expire it if it has not ended by then.")
    admission: Literal["queue", "strict"] = Field(
        "queue", description="`strict` refuses the job if it cannot be expected to end before its deadline."
    )
    run_timeout_s: float | None = Field(
        None, ge=1, le=86_400, description="Fail it when its forward pass has taken so many seconds."
    )
    result_ttl_s: Annotated[int, Field(strict=True, ge=1), WHOLE] | None = Field(
        None, description="Keep record and result for so many seconds after its end."
    )
    retry_on: RetryOnField | None = Field(
        None, description="Repeat attempts that failed for these causes only; without it for all of them."
    )
    batchable: Annotated[bool, Field(strict=True)] = Field(
        True, description="False: no other job is in its forward pass."
    )
    seed: Annotated[int, Field(strict=True, ge=0, le=MAX_SEED), WHOLE] | None = Field(
        None,
        description="Draw its random numbers from this seed, whoever is in its pass; of a model that takes one.",
    )
    dedupe: Dedupe | None = Field(None, description="If an earlier job stands for it, submitting gives that one.")

    @property
    def names_times(self) -> bool:
        """True if it matters when this is read."""
        return not (self.deadline is None and self.start_by is None and self.not_before is None)


class Webhook(BaseModel):
    """Who is told of a job, of its end and what else."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str | None = Field(
        None,
        min_length=1,
        max_length=MAX_URL_LENGTH,
        description="Gets a signed POST (Standard Webhooks) when the job has ended; https, at a public address.",
    )
    endpoint: str | None = Field(
        None, pattern=r"^ep_[0-9a-f]{20}$", description="A registered receiver, in place of a URL."
    )
    events: Annotated[frozenset[Event], Field(min_length=1)] | None = Field(
        None, description="What the URL is told: the job's end if nothing is said. An endpoint has its own."
    )

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if (self.url is None) == (self.endpoint is None):
            raise ValueError("name either a url or an endpoint")
        if self.endpoint and self.events:
            raise ValueError("events go with a url; those of an endpoint are changed by PATCH")
        return self


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
    metadata: dict[MetadataKey, MetadataValue] = Field(
        default_factory=dict,
        max_length=MOST_METADATA,
        description="Noted beside the job, to find it by; never shown to the model.",
    )
    fairness_key: Annotated[str, Field(pattern=rf"^[ -~]{{1,{MAX_VALUE_BYTES}}}$")] | None = Field(
        None, description="Whose job it is, a customer's or a team's: those that wait take turns, job by job."
    )


class Changes(BaseModel):
    """The body of `PATCH /v1/jobs/{id}`: what it does not name stays as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tier: Tier = Field(Tier.STANDARD, description="How urgent it is.")
    deadline: MomentField | None = Field(None, description="Expire it if it has not ended by then; null for never.")
    metadata: dict[MetadataKey, MetadataValue] = Field(
        default_factory=dict, max_length=MOST_METADATA, description="All that is noted beside the job from now on."
    )
    webhook: Webhook | None = Field(None, description="Who is told of it from now on; null for nobody.")

    def amendment(self, now_ms: int) -> Amendment:
        """What of it changes a job; who is told of it is looked up apart.

        Raises:
            InvalidInput: if its deadline is over, or nothing is changed.
        """
        named = self.model_fields_set
        if not named:
            raise invalid_fields(
                [FieldError("", "names nothing to change; give tier, deadline, metadata or webhook", "empty")]
            )
        deadline_ms = _ms(self.deadline, now_ms)
        _check_limit("deadline", deadline_ms, 0, now_ms, where="")
        return Amendment(
            tier=self.tier if "tier" in named else None,
            deadline_ms=deadline_ms if "deadline" in named else None,
            metadata=orjson.dumps(self.metadata) if "metadata" in named else None,
        )


def parse_submission(raw: bytes) -> SubmitBody:
    """Read the body.

    Raises:
        MalformedRequest: if it is not JSON.
        InvalidInput: naming each field that is missing, unknown or wrong.
    """
    return parse_body(raw, SubmitBody)


def fingerprint(raw: bytes) -> str:
    """What makes two bodies the same request: their JSON, whatever its spacing and order of fields."""
    return fingerprint_of(orjson.loads(raw))


def fingerprint_of(document: Any) -> str:
    """The same of JSON that was read already."""
    canonical = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(canonical).hexdigest()[:32]


def new_job(body: SubmitBody, *, job_id: str, tenant: str, ref: ModelRef, bounds: Bounds, now_ms: int) -> NewJob:
    """The job that a body asks for, within `bounds`.

    Raises:
        InvalidInput: if its times cannot all be kept, or pass a bound.
    """
    return Mould(body, tenant=tenant, ref=ref, bounds=bounds, now_ms=now_ms).job(job_id, body.input)


def _blank_job(body: SubmitBody, *, tenant: str, ref: ModelRef, bounds: Bounds, now_ms: int) -> NewJob:
    """A job without id and input, and without what depends on its input."""
    options = body.options
    not_before_ms = _ms(options.not_before, now_ms)
    start_by_ms, deadline_ms = _ms(options.start_by, now_ms), _ms(options.deadline, now_ms)
    _check_limit("start_by", start_by_ms, not_before_ms, now_ms)
    _check_limit("deadline", deadline_ms, not_before_ms, now_ms)
    if options.admission == "strict" and not deadline_ms:
        problem = "strict needs a deadline that can be kept or not; give one"
        raise invalid_fields([FieldError("/options/admission", problem, "missing_deadline")])
    kept_s, dedupe = bounds.check_kept_s(options.result_ttl_s), options.dedupe
    scope = dedupe.scope if dedupe else DedupeScope()
    return NewJob(
        id="",
        input=b"",
        tenant=tenant,
        ref=ref,
        tier=options.tier,
        max_attempts=options.max_attempts or bounds.max_attempts,
        not_before_ms=not_before_ms,
        start_by_ms=start_by_ms,
        deadline_ms=deadline_ms,
        dedupe_key=dedupe.key or "" if dedupe else "",
        dedupe_scope=scope.kind,
        dedupe_s=bounds.remembered_s(scope, kept_s),
        run_timeout_s=bounds.run_timeout_s(options.run_timeout_s),
        result_ttl_s=kept_s,
        retry_on=options.retry_on,
        is_batchable=options.batchable,
        seed=bounds.check_seed(options.seed),
        fairness_key=body.fairness_key or "",
        metadata=orjson.dumps(body.metadata) if body.metadata else b"",
    )


class Mould:
    """Makes the jobs of one version that differ in nothing but id and input.

    Args:
        body: which asks for one of them.
        tenant: whose they are.
        ref: the version.
        bounds: within which they are.
        now_ms: when they came.

    Raises:
        InvalidInput: if their times cannot all be kept, or pass a bound.
    """

    def __init__(self, body: SubmitBody, *, tenant: str, ref: ModelRef, bounds: Bounds, now_ms: int) -> None:
        self._alike = _blank_job(body, tenant=tenant, ref=ref, bounds=bounds, now_ms=now_ms)[2:]
        dedupe = body.options.dedupe
        self._content_of = _content_key(ref, body.options.seed) if dedupe and dedupe.key is None else None

    def job(self, job_id: str, value: Any) -> NewJob:
        """The one for an input, which has been checked."""
        # Of thousands in a request: what `NewJob` does around this costs half as much again.
        job = tuple.__new__(NewJob, (job_id, orjson.dumps(value), *self._alike))
        if self._content_of is None:
            return job
        return job._replace(dedupe_key=f"{self._content_of}/{fingerprint_of(value)}")


def _content_key(ref: ModelRef, seed: int | None) -> str:
    """What two jobs have in common, beside their inputs, that have the same result."""
    return str(ref) if seed is None else f"{ref}/{seed}"


def queue_full(job: NewJob | Job, depth: int) -> QueueFull:
    """The error for a job that is one too many."""
    return QueueFull(
        f"{depth} jobs wait for {job.ref} in tier {job.tier}, as many as may; try again later or in another tier",
        retry_after_s=5,
    )


def _tenant_full(job: NewJob, depth: int) -> TenantQueueFull:
    return TenantQueueFull(
        f"{depth} jobs of the tenant {job.tenant} wait, as many as may; try again when some of them have begun",
        retry_after_s=5,
    )


def refusal_of(job: NewJob, submitted: Submitted) -> HeadraceError | None:
    """Why a job was not stored, None if it was or another stands for it."""
    match submitted.outcome:
        case SubmitOutcome.ACCEPTED:
            return None
        case SubmitOutcome.FULL:
            return queue_full(job, submitted.depth)
        case SubmitOutcome.TENANT_FULL:
            return _tenant_full(job, submitted.depth)
        case SubmitOutcome.MISMATCH if job.is_named:
            problem = "names a job of another request; choose a new id for a new request"
            return IdempotencyMismatch(f"the id {job.id} {problem}", fields=[FieldError("/path/job_id", problem)])
        case SubmitOutcome.MISMATCH:
            problem = "was used before with another body; use a new key for a new request"
            field = FieldError("/header/Idempotency-Key", problem)
            return IdempotencyMismatch(f"the Idempotency-Key {problem}", fields=[field])
        case SubmitOutcome.GONE:
            return JobExpired(f"the id {job.id} was chosen for a job that is no longer kept; choose another")
        case SubmitOutcome.WITHHELD:
            return BulkRefused("all or none were asked for, and others were refused")
        case _:
            return None


def webhook_url(webhook: Webhook, egress: Egress) -> str:
    """The URL that is told of a job's end, or what stands for an endpoint.

    Raises:
        InvalidInput: if webhooks may not be sent there.
    """
    if webhook.endpoint is not None:
        return MARK + webhook.endpoint
    try:
        return check_webhook_url(webhook.url or "", egress)
    except ValueError as error:
        raise invalid_fields([FieldError("/webhook/url", str(error), "webhook_url")]) from error


def _ms(moment: Moment | None, now_ms: int) -> int:
    return moment.at(now_ms) if moment else 0


def _check_limit(name: str, limit_ms: int, not_before_ms: int, now_ms: int, where: str = "/options") -> None:
    if not limit_ms:
        return
    if limit_ms <= now_ms:
        problem = "is already over; name a time to come"
    elif limit_ms <= not_before_ms:
        problem = "comes before not_before, so the job could never run"
    else:
        return
    raise invalid_fields([FieldError(f"{where}/{name}", problem, "impossible_time")])
