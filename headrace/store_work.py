"""What workers take from the store and bring back: claims, and what became of the jobs."""

from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple

from headrace.jobs import Cause, JobStatus, Lease, read_causes
from headrace.redis_op import Reply


class ClaimSize(NamedTuple):
    """How much to claim: `least` jobs if they are there, more up to `most` only as a share of what waits beyond."""

    least: int
    most: int
    #: Of input; one job is claimed however large it is.
    most_bytes: int
    #: Jobs that the worker has already, beyond those it needs next: they are part of its share.
    ahead: int = 0


class ClaimedJob(NamedTuple):
    """A job handed to a worker under a lease."""

    member: str
    fence: int
    #: Forward passes begun before.
    attempts: int
    max_attempts: int
    #: Index into the groups that were claimed from.
    group: int
    input: bytes
    #: W3C Trace Context; empty for most.
    traceparent: str = ""
    #: Workers that were lost while they held it.
    rescues: int = 0
    #: Milliseconds from the claim to its deadline, if it has one; not above 0 if that has passed.
    deadline_in_ms: int | None = None
    #: Seconds that its forward pass may take, if that was bounded for it.
    run_timeout_s: float | None = None
    #: How far its pass was when the worker before gave it back; empty if nothing is kept.
    checkpoint: bytes = b""
    #: Causes for which an attempt may be repeated; None for all that others' are.
    retry_on: tuple[Cause, ...] | None = None
    #: No other job may be in its forward pass.
    runs_apart: bool = False
    #: What its model draws random numbers from; None for whatever it draws.
    seed: int | None = None

    @property
    def lease(self) -> Lease:
        """What the worker renews and commits with."""
        return _new_lease(self[:2])

    def may_repeat(self, cause: Cause) -> bool:
        """Tell whether it may be run again after an attempt that failed for this."""
        return self.retry_on is None or cause in self.retry_on


class Claimed(NamedTuple):
    """Answer to a claim."""

    jobs: list[ClaimedJob]
    #: True if some of the groups still hold jobs.
    more: bool
    #: Milliseconds until a delayed job is due; 0 if none is.
    come_back_ms: int


class PassProgress(NamedTuple):
    """How far the pass of a job is, as its model says."""

    lease: Lease
    #: From 0 to 1.
    fraction: float
    #: At most `MAX_VALUE_BYTES`.
    message: str


class Outcome(NamedTuple):
    """How one job of a batch ended: `body` is the result, or the error document of a failed one."""

    lease: Lease
    status: JobStatus
    cause: Cause | None
    body: bytes
    #: Its part of the pass in ms; None where all of the batch had as much.
    part_ms: float | None = None


class Failure(NamedTuple):
    """An attempt that did not come to a result and may be repeated after `backoff_ms`."""

    lease: Lease
    cause: Cause
    backoff_ms: int
    body: bytes
    #: Memory of the worker, if that was too little for the job alone: larger ones have its other attempts.
    outgrown_bytes: int = 0


class CommitAnswer(StrEnum):
    """What became of one outcome."""

    KEPT = "1"
    #: The same commit had come before its answer was lost.
    ALREADY_KEPT = "2"
    #: The lease had been lost, or the job canceled: the result is discarded.
    REFUSED = "0"


_ANSWERS = {answer.value: answer for answer in CommitAnswer}


#: What a claim tells only of jobs that have it, in the order of the reply, and how it is read.
_TOLD_OF_SOME: tuple[tuple[str, Callable[[Any], object]], ...] = (
    ("traceparent", bytes.decode),
    ("rescues", int),
    ("deadline_in_ms", int),
    ("run_timeout_s", float),
    ("checkpoint", bytes),
    ("retry_on", lambda causes: read_causes(causes.decode())),
    ("runs_apart", bool),
    ("seed", int),
)
#: What holds for a job of which none of that is told.
_TOLD_OF_NONE = tuple(ClaimedJob._field_defaults.values())
#: Like `ClaimedJob._make` and `Lease._make`, at half their cost: this happens to every job.
_new_job, _new_lease = partial(tuple.__new__, ClaimedJob), partial(tuple.__new__, Lease)
#: What stands before the jobs in the reply.
_HEAD = 2 + len(_TOLD_OF_SOME)


def read_claimed(reply: Reply) -> Claimed:
    """The reply of `claim`."""
    more, come_back_ms, *told = reply[:_HEAD]
    starts = range(_HEAD, len(reply), 6)
    jobs = [_new_job((reply[i].decode(), *reply[i + 1 : i + 6], *_TOLD_OF_NONE)) for i in starts]
    for (field, read), pairs in zip(_TOLD_OF_SOME, told, strict=True) if any(told) else ():
        for number, value in zip(pairs[::2], pairs[1::2], strict=True):
            jobs[number - 1] = jobs[number - 1]._replace(**{field: read(value)})
    return Claimed(jobs, bool(more), come_back_ms)


def read_commit_answers(reply: Reply) -> list[CommitAnswer]:
    """One character a job."""
    return [_ANSWERS[answer] for answer in reply.decode()]
