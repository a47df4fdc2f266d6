"""What a worker says of itself, so that others can tell why a job waits: kept in Redis while the worker lives."""

import logging
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict

from headrace.groups import group_of
from headrace.jobs import Reason
from headrace.model_ref import ModelRef
from headrace.tiers import Tier

log = logging.getLogger("headrace.presence")


class WorkerState(StrEnum):
    """Where a worker is in its life."""

    STARTING = "starting"
    READY = "ready"
    #: Finishes its batch and takes no more.
    DRAINING = "draining"


class ModelState(StrEnum):
    """Where a model version is on one worker."""

    LOADING = "loading"
    READY = "ready"
    #: Could not be loaded; tried again after a pause.
    FAILED = "failed"


class ModelPresence(BaseModel):
    """One model version on one worker."""

    model_config = ConfigDict(frozen=True)

    state: ModelState
    #: Why it could not be loaded.
    error: str = ""
    #: True if it is to be loaded when that is worth it: the worker has not memory for all at once.
    cold: bool = False
    #: True if it waits in host memory meanwhile, from where it comes back by a copy.
    parked: bool = False
    #: What its copy takes there.
    host_bytes: int = 0
    #: True if it runs in a process of its own.
    apart: bool = False
    #: Its forward passes here, and the calls of `forward` in them: more where some failed.
    passes: int = 0
    runs: int = 0
    #: Jobs that were in its forward passes here, and the seconds that these passes took.
    jobs: int = 0
    busy_s: float = 0.0
    #: Cost of its batches as padded, and of what was filling in it, by the author's `cost` (an item: 1).
    cost: float = 0.0
    padding: float = 0.0
    #: Seconds that a job takes in a well-filled pass; None until one was run.
    job_s: float | None = None


class GroupLoad(BaseModel):
    """What a worker has of one group."""

    model_config = ConfigDict(frozen=True)

    #: Leased.
    held: int
    #: Of these, in the forward pass.
    running: int


class WorkerPresence(BaseModel):
    """One worker."""

    model_config = ConfigDict(frozen=True)

    id: str
    worker_class: str
    #: What it was called by whoever started it.
    node: str = ""
    host: str
    pid: int
    child_pid: int | None = None
    device: str
    tiers: tuple[Tier, ...]
    #: That its models may use; 0: nobody says, or all that there is.
    memory_bytes: int = 0
    state: WorkerState
    #: By `name@version`.
    models: dict[str, ModelPresence] = {}
    #: When its process began.
    started_ms: int
    #: When it could first run a model; None until then.
    ready_ms: int | None = None
    #: Seconds of each stage of its start that is over: `process`, `child`, `model`.
    start_s: dict[str, float] = {}
    #: Groups (`name@version:tier`) that it could serve and was told to leave alone.
    paused: tuple[str, ...] = ()
    #: Groups that it leaves to workers of another class, which do them for less.
    left: tuple[str, ...] = ()
    #: By `name@version:tier`.
    groups: dict[str, GroupLoad] = {}
    jobs_done: int = 0
    jobs_held: int = 0
    batches: int = 0
    #: Smoothed length of a forward pass.
    forward_ms: float = 0.0

    def to_bytes(self) -> bytes:
        """As kept in Redis."""
        return self.model_dump_json().encode()

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """As read from Redis.

        Raises:
            ValueError: if somebody else wrote there.
        """
        return cls.model_validate_json(raw)


def parse_presences(values: Iterable[bytes | None]) -> list[WorkerPresence]:
    """What workers say of themselves; those that fell silent or cannot be understood are left out."""
    return [worker for raw in values if raw is not None and (worker := _parse(raw)) is not None]


def _parse(raw: bytes) -> WorkerPresence | None:
    try:
        return WorkerPresence.from_bytes(raw)
    except ValueError as error:
        log.warning("a worker's description cannot be read: %s", error)
        return None


def explain_wait(ref: ModelRef, tier: Tier, workers: Sequence[WorkerPresence]) -> tuple[Reason, str]:
    """Say why a queued job of this model and tier is not running yet.

    Returns:
        The reason and, where there is more to say, a sentence (else "").
    """
    able = [w for w in workers if tier in w.tiers and w.state is not WorkerState.DRAINING]
    paused = [w for w in able if group_of(ref, tier) in w.paused]
    serving = [w for w in able if w not in paused]
    models = [w.models[str(ref)] for w in serving if str(ref) in w.models]
    if any(model.state is ModelState.READY for model in models):
        return Reason.WAITING_TURN, ""
    if any(model.state is ModelState.LOADING and not model.cold for model in models):
        return Reason.MODEL_LOADING, ""
    if any(model.parked for model in models):
        return Reason.MODEL_LOADING, f"{ref} is copied back from host memory as soon as that is worth it"
    if any(model.cold for model in models):
        return Reason.MODEL_LOADING, f"{ref} is loaded in place of another as soon as that is worth it"
    if any(worker.state is WorkerState.STARTING for worker in serving):
        return Reason.WORKER_STARTING, ""
    if paused:
        return Reason.QUEUE_PAUSED, f"paused by remote control on {', '.join(sorted(w.node or w.id for w in paused))}"
    errors = sorted({model.error for model in models if model.error})
    if errors:
        return Reason.NO_COMPATIBLE_WORKER, f"{ref} cannot be loaded: {errors[0]}"
    if serving:
        return Reason.NO_COMPATIBLE_WORKER, f"no worker of tier {tier} serves {ref}"
    return Reason.NO_COMPATIBLE_WORKER, f"no worker of tier {tier} is running"
