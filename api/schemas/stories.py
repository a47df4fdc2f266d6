"""What became of a job so far, and what would become of one."""

from pydantic import AwareDatetime, Field

from api.schemas.jobs import JobProgress, ModelVersion, QueuePlace
from api.schemas.problems import Problem
from api.schemas.shape import Shape
from headrace.jobs import JobStatus
from headrace.tiers import Tier


class TimelineStep(Shape):
    """Something that happened to a job."""

    step: str = Field(
        description="`accepted`, `ready`, `hastened` (moved from the spot tier for its deadline), `claimed`, `started`,"
        " or the state that it ended in; of its model version while it waited `model_loading`, `model_loaded`,"
        " `model_refused`, `model_unloaded`."
    )
    at: AwareDatetime
    detail: str | None = Field(description="A sentence about what was loaded or unloaded, and on which worker.")


class TimelineWaits(Shape):
    """What it waited for, milliseconds; null where it has not come so far."""

    scheduled_ms: int = Field(description="For the time that it was not to start before.")
    queue_ms: int | None = Field(description="From ready to claimed by its last worker, earlier attempts included.")
    batch_ms: int | None = Field(description="From claimed to the start of its pass.")


class EarlierAttempt(Shape):
    """An attempt that came to no result."""

    worker: str | None = Field(description="Who ran it.")
    batch_size: int | None = Field(description="Null if it ended before anybody was told of its start.")
    started: AwareDatetime | None = Field(description="Likewise.")
    ended: AwareDatetime
    reason: str = Field(description="Why: `worker_lost`, `preempted`, `given_back`, or the cause of a failure.")


class Timeline(Shape):
    """What happened to a job and when, and what it cost: its last attempt, and those before it."""

    id: str
    status: JobStatus
    steps: list[TimelineStep]
    waits: TimelineWaits
    progress: JobProgress | None = Field(description="As in the job's record.")
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


class EstimateRecord(Shape):
    """What would become of a submission."""

    admissible: bool = Field(description="Whether it would be accepted now.")
    refusal: Problem | None = Field(description="What it would be answered with if not.")
    duplicate_of: str | None = Field(description="Id of the job that stands for it, by its `dedupe` key.")
    reason: str = Field(description="Why it would wait.")
    reason_detail: str | None
    model: ModelVersion
    tier: Tier
    queue: QueuePlace
    meets_deadline: bool | None = Field(description="Whether nine in ten such jobs would; null without an ETA.")
    seconds: float | None = Field(description="Of a worker's time that it takes in a full pass; null if not known.")
