"""The shapes of all answers, for the OpenAPI document; routes write plain dictionaries, tests hold them to these."""

from datetime import date
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, RootModel

from headrace.api_keys import KeyState, Scope
from headrace.endpoints import Event, Include, Stop
from headrace.eta import Basis, Confidence
from headrace.jobs import Cause, JobStatus
from headrace.presence import GroupLoad, ModelPresence, WorkerState
from headrace.tiers import Tier
from headrace.webhooks import DeliveryState


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ModelVersion(_Shape):
    """One version of a model."""

    name: str
    version: int


class Eta(_Shape):
    """When a queued job will start and end: half of such jobs do before the p50, nine in ten before the p90."""

    start_p50: AwareDatetime
    start_p90: AwareDatetime
    finish_p50: AwareDatetime
    finish_p90: AwareDatetime
    basis: Basis = Field(description="What it was computed from: what workers do, or how long their starts take.")
    confidence: Confidence


class QueuePlace(_Shape):
    """Where a queued job stands."""

    position: int | None = Field(
        description="Jobs that come before it: its own tenant's and what others get meanwhile; null while a worker"
        " holds it, it waits for its time, or nobody can run it (`reason` says why)."
    )
    batches_ahead: int | None = Field(description="Passes of its workers before the one that it will be in.")
    eta: Eta | None = Field(description="Null while nothing is known, or what was said lately was too often wrong.")


class JobTimes(_Shape):
    """When what happened, RFC 3339 in UTC with milliseconds; null if it has not."""

    created: AwareDatetime
    claimed: AwareDatetime | None
    started: AwareDatetime | None
    finished: AwareDatetime | None
    start_by: AwareDatetime | None
    deadline: AwareDatetime | None


class ProblemField(_Shape):
    """One wrong field."""

    pointer: str = Field(
        description="JSON pointer into the body; `/header/…` and `/query/…` for the rest of the request."
    )
    code: str
    detail: str


class JobError(_Shape):
    """Why a job failed."""

    cause: Cause
    code: str = Field(description="For programs: a word that stays.")
    detail: str
    retryable: bool = Field(description="Whether the same input may succeed if it is submitted again.")
    attempts: int
    errors: list[ProblemField] = Field(description="What the model found wrong with its input, and where.")


class JobCancel(_Shape):
    """What becomes of a job whose cancellation was asked for."""

    mode: Literal["dropped", "discarded"] = Field(
        description="`dropped`: it does not run, or no longer. `discarded`: its pass runs on for the others, and its"
        " result is not kept."
    )
    effective_by: AwareDatetime = Field(description="When it has ended, at the latest.")


class JobLinks(_Shape):
    """Where to go on."""

    self: str
    result: str
    cancel: str


class JobWebhook(_Shape):
    """How far the webhook of a job is."""

    url: str
    status: DeliveryState = Field(description="`pending` also before the job has ended.")
    attempts: int = Field(description="Attempts begun.")
    outcome: str | None = Field(description="What came of the last attempt: `http_200`, `timeout`, …")
    attempted: AwareDatetime | None
    next_attempt: AwareDatetime | None = Field(
        description="When it is tried next, or while it is tried counts as lost; null if it is over or not begun."
    )


class SelfLink(_Shape):
    """Where it is."""

    self: str


class DeliveredJob(_Shape):
    """The job whose end is told."""

    id: str
    links: SelfLink


class WebhookDelivery(JobWebhook):
    """An event on its way to a receiver."""

    id: str = Field(description="The `webhook-id` of all its attempts.")
    job: DeliveredJob


class DeliveryList(_Shape):
    """Deliveries, newest first."""

    deliveries: list[WebhookDelivery]


class ListenedEvent(_Shape):
    """An event as its receiver gets it, and how far its delivery was then."""

    id: str = Field(description="Its `webhook-id`.")
    type: str
    url: str
    status: DeliveryState
    attempts: int
    outcome: str | None
    headers: dict[str, str] = Field(description="Of an attempt; one of the signatures is by the listener's secret.")
    body: str


class ListenedEvents(_Shape):
    """Events that couriers began to tell."""

    cursor: str = Field(description="`after` of the next request.")
    secret: str = Field(description="Signs for listeners, beside the secrets that sign for receivers.")
    events: list[ListenedEvent]


class EndpointRecord(_Shape):
    """A registered receiver of webhooks."""

    id: str
    url: str
    events: list[Event]
    include: Include
    description: str
    enabled: bool
    stopped: Stop | None = Field(description="Why it is told nothing; null while it is.")
    failing_since: AwareDatetime | None = Field(description="Null if its last answer was good.")
    created: AwareDatetime


class NewEndpointRecord(EndpointRecord):
    """One with a new secret."""

    secret: str = Field(description="Signs what it is told; never shown again.")


class EndpointList(_Shape):
    """All registered receivers, the oldest first."""

    endpoints: list[EndpointRecord]


class TestedEndpoint(_Shape):
    """What came of a test."""

    id: str = Field(description="The `webhook-id` of the event.")
    delivered: bool = Field(description="True if the receiver answered 2xx.")
    outcome: str = Field(description="As of a delivery; `no_courier` if nobody took it, `no_answer` if nobody said.")


class ReplayedList(_Shape):
    """What is told again."""

    replayed: list[str] = Field(description="Their `webhook-id`s.")


class JobRecord(_Shape):
    """A job."""

    id: str
    status: JobStatus
    reason: str | None = Field(description="Why it is queued; null otherwise.")
    reason_detail: str | None = Field(description="A sentence more, where there is more to say.")
    attempts: int = Field(description="Forward passes begun.")
    max_attempts: int
    run_timeout_s: float | None = Field(description="Seconds that its pass may take; null for as long as any.")
    result_ttl_s: int | None = Field(description="Seconds that it is kept after its end; null for as long as others.")
    tier: Tier
    model: ModelVersion
    queue: QueuePlace | None
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


class TimelineStep(_Shape):
    """Something that happened to a job."""

    step: str = Field(
        description="`accepted`, `ready`, `hastened` (moved from the spot tier for its deadline), `claimed`, `started`,"
        " or the state that it ended in; of its model version while it waited `model_loading`, `model_loaded`,"
        " `model_refused`, `model_unloaded`."
    )
    at: AwareDatetime
    detail: str | None = Field(description="A sentence about what was loaded or unloaded, and on which worker.")


class TimelineWaits(_Shape):
    """What it waited for, milliseconds; null where it has not come so far."""

    scheduled_ms: int = Field(description="For the time that it was not to start before.")
    queue_ms: int | None = Field(description="From ready to claimed by its last worker, earlier attempts included.")
    batch_ms: int | None = Field(description="From claimed to the start of its pass.")


class EarlierAttempt(_Shape):
    """An attempt that came to no result."""

    worker: str | None = Field(description="Who ran it.")
    batch_size: int | None = Field(description="Null if it ended before anybody was told of its start.")
    started: AwareDatetime | None = Field(description="Likewise.")
    ended: AwareDatetime
    reason: str = Field(description="Why: `worker_lost`, `preempted`, `given_back`, or the cause of a failure.")


class Timeline(_Shape):
    """What happened to a job and when, and what it cost: its last attempt, and those before it."""

    id: str
    status: JobStatus
    steps: list[TimelineStep]
    waits: TimelineWaits
    ran_ms: int | None = Field(description="From the start of its pass to its end.")
    spent_ms: float | None = Field(description="Its part of the pass: what it took of its worker's time.")
    attempts: int
    earlier_attempts: list[EarlierAttempt] = Field(
        description="Those that came to no result, in their order, the newest 20; of them only `worker_lost` and"
        " failures are counted in `attempts`."
    )
    workers_lost: int = Field(description="Workers that were lost while they held it.")
    outgrown_bytes: int | None = Field(
        description="Memory of a worker on which it ran out, so that larger ones run it."
    )
    batch_size: int | None
    worker: str | None
    model: ModelVersion
    tier: Tier


class EstimateRecord(_Shape):
    """What would become of a submission."""

    admissible: bool = Field(description="Whether it would be accepted now.")
    reason: str = Field(description="Why it would wait.")
    reason_detail: str | None
    model: ModelVersion
    tier: Tier
    queue: QueuePlace
    meets_deadline: bool | None = Field(description="Whether nine in ten such jobs would; null without an ETA.")
    seconds: float | None = Field(description="Of a worker's time that it takes in a full pass; null if not known.")


class JobList(_Shape):
    """Jobs, newest first."""

    jobs: list[JobRecord]
    next: str | None = Field(description="`cursor` of the next page; null if this is the last.")


class DeadLetterList(_Shape):
    """Jobs that were given up, newest first."""

    dead_letters: list[JobRecord]
    next: int | None = Field(description="`before` of the next page; null if this is the last.")


class DeadLetterRecord(JobRecord):
    """A job that was given up, with its input."""

    input: Any = Field(description="As it was submitted; null once it is no longer kept.")


class RedrivenLetter(_Shape):
    """A job that was given up, and the one that was made of it."""

    id: str
    job: str = Field(description="Id of the new job.")


class RedrivenList(_Shape):
    """What was sent again, the oldest first."""

    redriven: list[RedrivenLetter]


class ModelLinks(_Shape):
    """Where to go on."""

    self: str
    submit: str


class ModelRecord(_Shape):
    """A released model."""

    name: str
    version: int = Field(description="The version that gets most jobs.")
    routes: dict[str, int] = Field(description="Version to its weight among new jobs.")
    description: str
    max_batch: int
    workers: int = Field(description="Workers that have it loaded.")
    created: AwareDatetime
    released: AwareDatetime
    examples: list[Any]
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    links: ModelLinks


class ModelList(_Shape):
    """The released models by name."""

    models: list[ModelRecord]


class WarmModel(_Shape):
    """What workers were told to load."""

    model: str
    versions: list[int] = Field(description="Those that get its jobs.")
    until: AwareDatetime = Field(description="When they may make way for others again.")


class Queue(_Shape):
    """What waits for one model version in one tier, and there for a worker with more memory than some."""

    model: ModelVersion
    tier: Tier
    outgrown_bytes: int | None = Field(description="Memory that these jobs have outgrown; null for most.")
    depth: int = Field(description="Jobs ready to run.")
    oldest_age_ms: int | None = Field(description="Age of the one that is served next.")
    running: int = Field(description="Jobs in a forward pass.")
    held: int = Field(description="Jobs that workers have taken, those that run among them.")
    wait_ms: int | None = Field(description="Mean wait of jobs that ended lately; null if none did.")
    arrived: int = Field(description="Jobs accepted since ever.")
    ended: int = Field(description="Jobs that workers brought to an end since ever.")
    workers: int = Field(description="Workers ready to serve it.")
    reason: str | None = Field(description="Why its jobs wait; null if none does.")
    reason_detail: str | None


class QueueList(_Shape):
    """All queues."""

    queues: list[Queue]


class WorkerRecord(_Shape):
    """A worker."""

    id: str
    worker_class: str
    node: str = Field(description="What it was called by whoever started it.")
    host: str
    pid: int
    child_pid: int | None
    device: str
    tiers: list[Tier]
    memory_bytes: int = Field(description="That its models may use; 0: all there is.")
    state: WorkerState
    models: dict[str, ModelPresence]
    groups: dict[str, GroupLoad] = Field(description="What it holds, by `name@version:tier`.")
    started: AwareDatetime
    ready: AwareDatetime | None = Field(description="When it could first run a model.")
    start_s: dict[str, float] = Field(description="Seconds of each stage of its start that is over.")
    jobs_done: int
    jobs_held: int
    batches: int
    forward_ms: float = Field(description="Smoothed length of a forward pass.")


class WorkerList(_Shape):
    """The workers that are alive."""

    workers: list[WorkerRecord]


class ClassScalingRecord(_Shape):
    """What was decided for one worker class, and from what. Work is in seconds of one worker's time."""

    worker_class: str
    count: int = Field(description="How many workers there should be.")
    wanted: int = Field(description="How many the present load alone asks for, before some are kept for a while.")
    min_workers: int
    max_workers: int
    ready: int
    starting: int
    draining: int
    jobs: int = Field(description="Jobs that wait or are held, of the tiers that the class is scaled for.")
    backlog_s: float = Field(description="Their work.")
    oldest_age_s: float = Field(description="Since the oldest of those that wait was accepted.")
    arriving: float = Field(description="Work that arrives each second.")
    planned: float = Field(description="What is planned to arrive each second until another worker is ready.")
    forecast: str = Field(description="By which forecast: level, trend, seasonal or holt-winters.")
    rule: str = Field(description="Which rule decided (setting `scaling_rule`).")
    cold_start_s: float = Field(description="From the start of a process until it can run a model.")
    start_s: dict[str, float] = Field(description="Its stages: `process`, `child`, `model`; empty if none was seen.")
    reasons: list[str]


class ScalingChangeRecord(_Shape):
    """A number of workers that changed."""

    at: AwareDatetime
    worker_class: str
    before: int
    after: int
    reason: str
    inputs: ClassScalingRecord | None = Field(description="What it was decided from; null for older schedulers.")


class Scaling(_Shape):
    """How many workers there should be, and why."""

    scheduler: str | None = Field(description="Who decided; null if nobody did.")
    decided: AwareDatetime | None
    cost_per_hour: float | None = Field(description="Of all workers that there should be, by the prices that are set.")
    classes: list[ClassScalingRecord]
    changes: list[ScalingChangeRecord] = Field(description="The newest first.")


class RateRecord(_Shape):
    """How often a tenant may ask."""

    per_s: float = Field(description="Requests a second in the long run.")
    burst: int = Field(description="Requests at once.")


class Limits(_Shape):
    """What bounds the caller's tenant, and every request."""

    tenant: str
    weight: float = Field(description="Of its share while other tenants wait, too; most weigh 1.")
    requests: RateRecord | None = Field(description="Null if it may ask as often as it likes.")
    open_requests: int = Field(description="Requests that may be open at once in one API process.")
    open_waits: int = Field(description="Of them those that may wait for jobs.")
    waiting_jobs: int = Field(description="Jobs that may wait for one model version in one tier.")
    tenant_waiting_jobs: int | None = Field(description="Jobs that may wait over all queues; null: any number.")
    running_jobs: int | None = Field(description="Jobs that workers may hold; null: any number.")
    body_bytes: int
    wait_s: float = Field(description="The longest `Prefer: wait` that is honoured.")
    run_s: float = Field(description="The longest forward pass, and `run_timeout_s`.")
    result_kept_s: int
    longest_result_kept_s: int = Field(description="The longest `result_ttl_s`.")
    idempotency_key_kept_s: int


class TenantLimitsRecord(_Shape):
    """What was set for a tenant; null where nothing was."""

    tenant: str
    weight: float | None
    requests: RateRecord | None
    waiting_jobs: int | None = Field(description="Jobs that may wait, over all its queues.")
    running_jobs: int | None = Field(description="Jobs that workers may hold.")


class TenantLimitsList(_Shape):
    """What was set for tenants, by name; `*` stands for all that have no caps of their own."""

    tenants: list[TenantLimitsRecord]


class UsageRecord(_Shape):
    """What a tenant had on a day of one model version in one tier."""

    tenant: str
    day: date = Field(description="In UTC, on which it happened: a job may be accepted on one and end on another.")
    model: ModelVersion
    tier: Tier
    accepted: int = Field(description="Jobs that were stored.")
    succeeded: int
    failed: int
    canceled: int
    expired: int
    gpu_ms: float = Field(description="Of its workers' time: the sum of the jobs' parts in their last passes.")
    input_bytes: int = Field(description="Of the jobs that were accepted.")
    output_bytes: int = Field(description="Results of the jobs that succeeded.")


class UsageReport(_Shape):
    """What tenants had over a span of days."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    first: date = Field(alias="from")
    last: date = Field(alias="to")
    usage: list[UsageRecord] = Field(description="By tenant, day, model version and tier; without rows of nothing.")


class KeyRecord(_Shape):
    """An API key."""

    id: str
    tenant: str
    scopes: list[Scope]
    name: str
    state: KeyState
    created: AwareDatetime
    expires: AwareDatetime | None
    revoked: AwareDatetime | None


class MadeKeyRecord(KeyRecord):
    """An API key that was just made."""

    key: str = Field(description="What callers show. It is kept nowhere and never shown again.")


class KeyList(_Shape):
    """All API keys, the oldest first."""

    keys: list[KeyRecord]


class DesiredWorkers(RootModel[dict[str, int]]):
    """How many workers there should be, by worker class."""


class Health(_Shape):
    """How the process is."""

    status: str


class Problem(_Shape):
    """Why a request failed (RFC 9457)."""

    type: str = Field(description="Identifies the kind; a GET explains it.")
    title: str
    status: int
    code: str = Field(description="The kind in one word, for programs.")
    detail: str
    instance: str
    request_id: str
    retryable: bool = Field(description="Whether the same request may succeed later.")
    retry_after_ms: int | None = None
    errors: list[ProblemField] = []


class BulkItem(_Shape):
    """What became of one job of many."""

    id: str | None = Field(description="Of the job that there is now; null if it was refused.")
    known: bool = Field(description="Whether it was there before, by its key.")
    error: Problem | None


class BulkAnswer(_Shape):
    """What became of many jobs, in the order in which they came."""

    accepted: int
    known: int
    refused: int
    jobs: list[BulkItem]


class TargetGroup(_Shape):
    """A process that serves metrics."""

    targets: list[str] = Field(description="`host:port`, one.")
    labels: dict[str, str] = Field(description="`service`; of workers also `worker_class` and `node`.")


class TargetGroups(RootModel[list[TargetGroup]]):
    """All of them, in the shape that Prometheus' `http_sd_configs` expects."""


class ProblemKind(_Shape):
    """What a kind of problem means."""

    type: str
    title: str
    status: int
    code: str
    retryable: bool
    meaning: str
