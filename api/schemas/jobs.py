"""A job, and lists of jobs."""

from typing import Any, Literal

from pydantic import AwareDatetime, Field

from api.schemas.problems import Problem, ProblemField
from api.schemas.shape import Shape
from headrace.eta import Basis, Confidence
from headrace.jobs import Cause, JobStatus
from headrace.tiers import Tier
from headrace.webhooks import DeliveryState


class ModelVersion(Shape):
    """One version of a model."""

    name: str
    version: int


class Eta(Shape):
    """When a queued job will start and end: half of such jobs do before the p50, nine in ten before the p90."""

    start_p50: AwareDatetime
    start_p90: AwareDatetime
    finish_p50: AwareDatetime
    finish_p90: AwareDatetime
    basis: Basis = Field(description="What it was computed from: what workers do, or how long their starts take.")
    confidence: Confidence


class QueuePlace(Shape):
    """Where a queued job stands."""

    position: int | None = Field(
        description="Jobs that come before it: its own tenant's and what others get meanwhile; null while a worker"
        " holds it, it waits for its time, or nobody can run it (`reason` says why)."
    )
    batches_ahead: int | None = Field(description="Passes of its workers before the one that it will be in.")
    eta: Eta | None = Field(description="Null while nothing is known, or what was said lately was too often wrong.")


class JobProgress(Shape):
    """How far its pass is, as its model says."""

    fraction: float = Field(description="From 0 to 1; within an attempt it never goes back.")
    message: str = Field(description="What the model said with it, at most 64 bytes; may be empty.")
    at: AwareDatetime = Field(description="When that was said.")


class JobTimes(Shape):
    """When what happened, RFC 3339 in UTC with milliseconds; null if it has not."""

    created: AwareDatetime
    claimed: AwareDatetime | None
    started: AwareDatetime | None
    finished: AwareDatetime | None
    expires: AwareDatetime | None = Field(
        description="When an ended job and its result are forgotten, if no webhook keeps them and there is room."
    )
    start_by: AwareDatetime | None
    deadline: AwareDatetime | None


class JobError(Shape):
    """Why a job failed."""

    cause: Cause
    code: str = Field(description="For programs: a word that stays.")
    detail: str
    retryable: bool = Field(description="Whether the same input may succeed if it is submitted again.")
    attempts: int
    errors: list[ProblemField] = Field(description="What the model found wrong with its input, and where.")


class JobCancel(Shape):
    """What becomes of a job whose cancellation was asked for."""

    mode: Literal["dropped", "discarded"] = Field(
        description="`dropped`: it does not run, or no longer. `discarded`: its pass runs on for the others, and its"
        " result is not kept."
    )
    effective_by: AwareDatetime = Field(description="When it has ended, at the latest.")


class JobLinks(Shape):
    """Where to go on."""

    self: str
    result: str
    cancel: str
    timeline: str


class JobWebhook(Shape):
    """How far the webhook of a job is."""

    url: str
    status: DeliveryState = Field(description="`pending` also before the job has ended.")
    attempts: int = Field(description="Attempts begun.")
    outcome: str | None = Field(description="What came of the last attempt: `http_200`, `timeout`, …")
    attempted: AwareDatetime | None
    next_attempt: AwareDatetime | None = Field(
        description="When it is tried next, or while it is tried counts as lost; null if it is over or not begun."
    )


class SelfLink(Shape):
    """Where it is."""

    self: str


class JobRecord(Shape):
    """A job."""

    id: str
    status: JobStatus
    reason: str | None = Field(description="Why it is queued; null otherwise.")
    reason_detail: str | None = Field(description="A sentence more, where there is more to say.")
    attempts: int = Field(description="Forward passes begun.")
    max_attempts: int
    run_timeout_s: float | None = Field(description="Seconds that its pass may take; null for as long as any.")
    result_ttl_s: int | None = Field(description="Seconds that it is kept after its end; null for as long as others.")
    retry_on: list[Cause] | None = Field(
        description="Causes for which its attempts may be repeated; null if nothing was said, which is for all of them."
    )
    batchable: bool = Field(description="Whether other jobs may be in its forward pass.")
    seed: int | None = Field(description="What its model draws random numbers from; null for whatever it draws.")
    fairness_key: str | None = Field(description="Whose it is, of those who take turns in its queue; null if not said.")
    tier: Tier
    model: ModelVersion
    queue: QueuePlace | None
    progress: JobProgress | None = Field(
        description="Of its last attempt, also once it has ended; null if its model said nothing, or it waits."
    )
    times: JobTimes
    batch_size: int | None = Field(description="Size of the batch that it ran in.")
    worker: str | None = Field(description="The worker that holds it or ran it.")
    error: JobError | None
    cancel: JobCancel | None = Field(description="Null unless its cancellation was asked for in time.")
    webhook: JobWebhook | None = Field(description="Null if nobody is told of its end.")
    traceparent: str | None = Field(description="W3C Trace Context of the request that made it; null if it had none.")
    metadata: dict[str, str] = Field(description="What its submitter noted beside it.")
    links: JobLinks
    result: Any = Field(
        None, description="Only after `Prefer: wait`, of a job that succeeded; else see `links.result`."
    )


class JobList(Shape):
    """Jobs, newest first."""

    jobs: list[JobRecord]
    next: str | None = Field(description="`cursor` of the next page; null if this is the last.")


class CalledOffJobs(Shape):
    """How many jobs a filter meant, and what became of them."""

    matched: int = Field(description="Open jobs that the filters mean, of those that were looked at.")
    canceled: int = Field(description="They never run.")
    canceling: int = Field(description="They are in a pass, and have ended when that does.")
    ended: int = Field(description="They had ended by themselves before they could be canceled.")
    next: str | None = Field(description="`cursor` to go on from if not all jobs were looked at; else null.")


class BulkItem(Shape):
    """What became of one job of many."""

    id: str | None = Field(description="Of the job that there is now; null if it was refused.")
    known: bool = Field(description="Whether it was there before, by its key.")
    error: Problem | None


class BulkAnswer(Shape):
    """What became of many jobs, in the order in which they came."""

    accepted: int
    known: int
    refused: int
    jobs: list[BulkItem]
