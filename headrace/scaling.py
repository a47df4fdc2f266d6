"""What the scheduler says of the number of workers: how many there should be, and why. Redis keeps it for all."""

from pydantic import BaseModel, ConfigDict, ValidationError


class ClassScaling(BaseModel):
    """What was decided for one worker class, and what it was decided from. Work is in seconds of one worker's time."""

    model_config = ConfigDict(frozen=True)

    worker_class: str
    #: How many there should be.
    count: int
    #: How many the present load alone asks for, before the window keeps some.
    wanted: int
    min_workers: int
    max_workers: int
    ready: int
    starting: int
    draining: int
    #: Jobs that wait or are held, of the tiers that this class is scaled for.
    jobs: int
    #: Their work.
    backlog_s: float
    #: Since the oldest of those that wait was accepted.
    oldest_age_s: float = 0.0
    #: Work that arrives each second.
    arriving: float
    #: What is planned to arrive each second until another worker is ready, and by which forecast.
    planned: float = 0.0
    forecast: str = "level"
    #: Which rule decided.
    rule: str = "headrace"
    #: From the start of a process until it can run a model.
    cold_start_s: float
    #: Its stages: Python and Celery, the model's process, the model.
    start_s: dict[str, float] = {}
    #: Seconds of work in one job of each model version, as its own workers measured it; empty in changes.
    job_s: dict[str, float] = {}
    reasons: tuple[str, ...]


class ScalingReport(BaseModel):
    """The last decision."""

    model_config = ConfigDict(frozen=True)

    at_ms: int
    scheduler: str
    #: Of all workers that there should be, by the prices that are set.
    cost_per_hour: float = 0.0
    classes: tuple[ClassScaling, ...]


def parse_report(raw: bytes | None) -> ScalingReport | None:
    """What the scheduler said; without it, or with garbage in its place, workers that are to come count for nothing."""
    try:
        return None if raw is None else ScalingReport.model_validate_json(raw)
    except ValidationError:
        return None


class ScalingChange(BaseModel):
    """A number of workers that changed."""

    model_config = ConfigDict(frozen=True)

    at_ms: int
    worker_class: str
    before: int
    after: int
    reason: str
    #: What it was decided from; absent in changes of older schedulers.
    inputs: ClassScaling | None = None
