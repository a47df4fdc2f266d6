"""Queues and workers, how many there should be and why, and what watches them."""

from pydantic import AwareDatetime, Field, RootModel

from api.schemas.jobs import ModelVersion
from api.schemas.shape import Shape
from headrace.presence import GroupLoad, ModelPresence, WorkerState
from headrace.tiers import Tier


class Paused(Shape):
    """That no worker takes jobs of a queue, though they are accepted and wait."""

    since: AwareDatetime
    reason: str | None = Field(description="As whoever paused it said.")


class PausedQueue(Shape):
    """Whether a queue is paused."""

    name: str
    paused: Paused | None = Field(description="Null if it is not.")


class PurgedQueue(Shape):
    """How many jobs waited in a queue, and what became of them."""

    name: str
    matched: int = Field(description="Jobs that waited: ready, scheduled for later, or to be tried again later.")
    canceled: int = Field(description="They never run.")
    canceling: int = Field(description="A worker had begun them meanwhile: they have ended when their pass does.")
    ended: int = Field(description="They had ended by themselves before they could be canceled.")
    more: bool = Field(description="True if others still wait that one request does not cancel: ask again.")


class Queue(Shape):
    """What waits for one model version in one tier, and there for a worker with more memory than some."""

    name: str = Field(description="`model@version:tier`, the same for what has outgrown a size.")
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
    paused: Paused | None = Field(description="Null while workers take its jobs.")
    reason: str | None = Field(description="Why its jobs wait; null if none does.")
    reason_detail: str | None


class QueueList(Shape):
    """All queues."""

    queues: list[Queue]


class WorkerRecord(Shape):
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
    left: list[str] = Field(description="Groups that it leaves to a class that does their jobs for less money.")
    groups: dict[str, GroupLoad] = Field(description="What it holds, by `name@version:tier`.")
    started: AwareDatetime
    ready: AwareDatetime | None = Field(description="When it could first run a model.")
    start_s: dict[str, float] = Field(description="Seconds of each stage of its start that is over.")
    jobs_done: int
    jobs_held: int
    batches: int
    forward_ms: float = Field(description="Smoothed length of a forward pass.")


class WorkerList(Shape):
    """The workers that are alive."""

    workers: list[WorkerRecord]


class ClassScalingRecord(Shape):
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
    forecast: str = Field(description="By which forecast: level, hour, trend, seasonal or holt-winters.")
    rule: str = Field(description="Which rule decided (setting `scaling_rule`).")
    cold_start_s: float = Field(description="From the start of a process until it can run a model.")
    start_s: dict[str, float] = Field(description="Its stages: `process`, `child`, `model`; empty if none was seen.")
    job_s: dict[str, float] = Field(
        description="Seconds of work in a job of each model version, as its workers measured it; empty in changes."
    )
    reasons: list[str]


class ScalingChangeRecord(Shape):
    """A number of workers that changed."""

    at: AwareDatetime
    worker_class: str
    before: int
    after: int
    reason: str
    inputs: ClassScalingRecord | None = Field(description="What it was decided from; null for older schedulers.")


class Scaling(Shape):
    """How many workers there should be, and why."""

    scheduler: str | None = Field(description="Who decided; null if nobody did.")
    decided: AwareDatetime | None
    cost_per_hour: float | None = Field(description="Of all workers that there should be, by the prices that are set.")
    classes: list[ClassScalingRecord]
    changes: list[ScalingChangeRecord] = Field(description="The newest first.")


class DesiredWorkers(RootModel[dict[str, int]]):
    """How many workers there should be, by worker class."""


class Health(Shape):
    """How the process is."""

    status: str


class TargetGroup(Shape):
    """A process that serves metrics."""

    targets: list[str] = Field(description="`host:port`, one.")
    labels: dict[str, str] = Field(description="`service`; of workers also `worker_class` and `node`.")


class TargetGroups(RootModel[list[TargetGroup]]):
    """All of them, in the shape that Prometheus' `http_sd_configs` expects."""
