"""The records that the store's operations take and answer, and how the server's replies become them."""

import math
from enum import StrEnum
from typing import NamedTuple

import orjson

from headrace.jobs import Cause, Job, JobStatus, Lease
from headrace.keys import is_group
from headrace.redis_op import Reply
from headrace.tiers import Tier

#: A mean over jobs that ended longer ago than this is not recent any more.
_LATELY_MS = 60_000
#: Fields of a queue's hash, in the order of `QueueCounts`.
COUNT_FIELDS = ("arrived", "ended", "wait_ms", "run_ms", "lately", "lately_wait_ms", "at", "failed")


class SubmitOutcome(StrEnum):
    """How a submission ended."""

    ACCEPTED = "accepted"
    #: The idempotency key had made a job of the same request before.
    REPLAYED = "replayed"
    #: The idempotency key had made a job of another request.
    MISMATCH = "mismatch"
    #: As many jobs wait as may.
    FULL = "full"
    #: As many of its tenant's jobs wait, over all its queues, as may.
    TENANT_FULL = "tenant_full"
    #: An earlier job with the same dedupe key stands for it.
    DUPLICATE = "duplicate"
    #: The id was chosen for a job before that is no longer kept.
    GONE = "gone"
    #: Others of an all-or-none submission were refused.
    WITHHELD = "withheld"


_OUTCOMES = {outcome.encode(): outcome for outcome in SubmitOutcome}


class Submitted(NamedTuple):
    """Answer to a submission."""

    outcome: SubmitOutcome
    #: `tenant/id` of the new or the earlier job; empty if there is none.
    member: str
    #: Jobs that waited before this one in its tenant's ready set.
    depth: int
    #: Milliseconds on Redis's clock, which all times of a record are from.
    now_ms: int


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

    @property
    def lease(self) -> Lease:
        """What the worker renews and commits with."""
        return Lease(self.member, self.fence)


class ClaimSize(NamedTuple):
    """How much to claim: `least` jobs if they are there, more up to `most` only as a share of what waits beyond."""

    least: int
    most: int
    #: Of input; one job is claimed however large it is.
    most_bytes: int
    #: Jobs that the worker has already, beyond those it needs next: they are part of its share.
    ahead: int = 0


class Claimed(NamedTuple):
    """Answer to a claim."""

    jobs: list[ClaimedJob]
    #: True if some of the groups still hold jobs.
    more: bool
    #: Milliseconds until a delayed job is due; 0 if none is.
    come_back_ms: int


class Outcome(NamedTuple):
    """How one job of a batch ended: `body` is the result, or the error document of a failed one."""

    lease: Lease
    status: JobStatus
    cause: Cause | None
    body: bytes
    #: Its part of the pass in ms; None where all of the batch had as much.
    part_ms: float | None = None


class PassProgress(NamedTuple):
    """How far the pass of a job is, as its model says."""

    lease: Lease
    #: From 0 to 1.
    fraction: float
    #: At most `MAX_VALUE_BYTES`.
    message: str


class CommitAnswer(StrEnum):
    """What became of one outcome."""

    KEPT = "1"
    #: The same commit had come before its answer was lost.
    ALREADY_KEPT = "2"
    #: The lease had been lost, or the job canceled: the result is discarded.
    REFUSED = "0"


class Failure(NamedTuple):
    """An attempt that did not come to a result and may be repeated after `backoff_ms`."""

    lease: Lease
    cause: Cause
    backoff_ms: int
    body: bytes
    #: Memory of the worker, if that was too little for the job alone: larger ones have its other attempts.
    outgrown_bytes: int = 0


class Reaped(NamedTuple):
    """Answer to a reaping."""

    requeued: int
    dead: int


class Swept(NamedTuple):
    """Answer to a sweep of part of a tenant's index."""

    #: Where to go on; 0 when the end was reached.
    cursor: int
    #: Entries removed because their records are gone.
    forgotten: int
    #: Jobs found in no set and put back, and finished records given their time to live.
    mended: int


class Amendment(NamedTuple):
    """What is changed of a job that waits; None leaves it as it is."""

    tier: Tier | None = None
    #: 0 for none.
    deadline_ms: int | None = None
    #: JSON; `{}` for none.
    metadata: bytes | None = None


class Amended(NamedTuple):
    """Answer to an amendment."""

    #: amended, full, held, changed, or the state in which nothing can be.
    outcome: str
    #: Jobs that wait where it goes.
    depth: int


class Hastening(NamedTuple):
    """When jobs of a group are moved, and to which tier; times in ms."""

    group: str
    tier: Tier
    #: Jobs that wait in the group.
    waiting: int
    #: How much longer a job waits for each that is before it.
    each_ms: float
    #: What it needs besides to end where it goes.
    needs_ms: float
    #: With less it ends late also there.
    least_ms: float

    @property
    def horizon_ms(self) -> float:
        """No job is at risk whose deadline is further away."""
        return self.waiting * self.each_ms + self.needs_ms


class Hastened(NamedTuple):
    """Answer to a look at deadlines that are near."""

    moved: int
    #: Where to go on; 0 when all were looked at.
    cursor: int


class Browsed(NamedTuple):
    """An entry of a tenant's index."""

    member: str
    #: When it came, Unix milliseconds.
    score: float
    #: None if its record is no longer kept, or cannot be read.
    job: Job | None
    #: What was noted beside it, JSON.
    metadata: bytes | None

    @property
    def job_id(self) -> str:
        """The id of the job."""
        return self.member.partition("/")[2]


class Place(NamedTuple):
    """What comes before a place in a queue."""

    #: All jobs that do.
    ahead: int
    #: Of them, those of the same tenant and group.
    own: int


class PastAttempt(NamedTuple):
    """An attempt that came to no result. Times are Unix milliseconds; None where nobody was told."""

    worker: str | None
    started_ms: int | None
    ended_ms: int
    batch_size: int | None
    #: `worker_lost`, `preempted`, `given_back`, or the cause of a failure.
    why: str


class Forgotten(NamedTuple):
    """Answer to `forget`."""

    #: Where to go on; 0 when the end was reached.
    cursor: int
    forgotten: int


class DeadLetter(NamedTuple):
    """A job that was given up, by when it ended."""

    member: str
    #: Microseconds on Redis's clock, no two alike.
    ended_us: int


class QueueDepth(NamedTuple):
    """What waits in one group."""

    group: str
    depth: int
    #: Milliseconds since the oldest waiting job was accepted; 0 if none waits.
    oldest_age_ms: int


class QueueCounts(NamedTuple):
    """What came to one group and what was done for it, since ever and lately (about half a minute)."""

    #: Jobs accepted.
    arrived: int
    #: Jobs that a worker brought to an end.
    ended: int
    #: Sum of the time from ready to begun, over the jobs that ended.
    wait_ms: float
    #: Sum of the jobs' shares in forward passes.
    run_ms: float
    #: Jobs that ended lately, faded by age at `at_ms`.
    lately: float
    #: Sum of their waits, faded likewise.
    lately_wait_ms: float
    #: When the last batch ended; 0 if none did.
    at_ms: int
    #: Jobs that failed, and not for their input.
    failed: int = 0

    def recent_wait_ms(self, now_ms: int) -> float | None:
        """Mean wait of the jobs that ended lately; None if none did."""
        if not self.lately or now_ms - self.at_ms > _LATELY_MS:
            return None
        return self.lately_wait_ms / self.lately


def read_dead_letters(reply: Reply) -> list[DeadLetter]:
    """Members and when they ended."""
    return [DeadLetter(reply[i].decode(), int(float(reply[i + 1]))) for i in range(0, len(reply), 2)]


def read_past(reply: Reply) -> list[PastAttempt]:
    """Attempts that came to no result; what somebody else wrote there is left out."""
    return [attempt for raw in reply if (attempt := _past(raw)) is not None]


def _past(raw: bytes) -> PastAttempt | None:
    try:
        worker, started_ms, ended_ms, size, why = orjson.loads(raw)
        return PastAttempt(
            None if worker is None else str(worker),
            None if started_ms is None else int(started_ms),
            int(ended_ms),
            None if size is None else int(size),
            str(why),
        )
    except (TypeError, ValueError):
        return None


def read_amended(reply: Reply) -> Amended | None:
    """The reply of `amend`."""
    return Amended(reply[0].decode(), reply[1]) if reply else None


def read_browsed(reply: Reply) -> list[Browsed]:
    """The reply of `browse`."""
    return [
        Browsed(reply[i].decode(), float(reply[i + 1]), _job(reply[i].decode(), reply[i + 2]), reply[i + 3])
        for i in range(0, len(reply), 4)
    ]


def _job(member: str, fields: Reply) -> Job | None:
    record = {fields[i].decode(): fields[i + 1].decode() for i in range(0, len(fields), 2)}
    try:
        return Job.from_record(member, record) if record else None
    except (KeyError, ValueError):
        return None


def read_counts(reply: Reply) -> QueueCounts:
    """The fields of `COUNT_FIELDS`."""
    arrived, ended, wait_ms, run_ms, lately, lately_wait_ms, at_ms, failed = map(_number, reply)
    return QueueCounts(int(arrived), int(ended), wait_ms, run_ms, lately, lately_wait_ms, int(at_ms), int(failed))


def _number(value: bytes | None) -> float:
    # Counts are for watching: what somebody else wrote there stops nobody.
    try:
        number = float(value or 0)
    except ValueError:
        return 0.0
    return number if math.isfinite(number) else 0.0


def read_submitted(reply: Reply) -> list[Submitted]:
    """The reply of `submit`."""
    now_ms = reply[0]
    return [
        Submitted(_OUTCOMES[reply[i]], reply[i + 1].decode(), reply[i + 2], now_ms) for i in range(1, len(reply), 3)
    ]


def read_claimed(reply: Reply) -> Claimed:
    """The reply of `claim`."""
    more, come_back_ms, traces, rescues, dues, limits, kept = reply[:7]
    jobs = [ClaimedJob(reply[i].decode(), *reply[i + 1 : i + 6]) for i in range(7, len(reply), 6)]
    for i in range(0, len(traces), 2):
        place = traces[i] - 1
        jobs[place] = jobs[place]._replace(traceparent=traces[i + 1].decode())
    for i in range(0, len(rescues), 2):
        place = rescues[i] - 1
        jobs[place] = jobs[place]._replace(rescues=rescues[i + 1])
    for i in range(0, len(dues), 2):
        place = dues[i] - 1
        jobs[place] = jobs[place]._replace(deadline_in_ms=dues[i + 1])
    for i in range(0, len(limits), 2):
        place = limits[i] - 1
        jobs[place] = jobs[place]._replace(run_timeout_s=float(limits[i + 1]))
    for i in range(0, len(kept), 2):
        place = kept[i] - 1
        jobs[place] = jobs[place]._replace(checkpoint=kept[i + 1])
    return Claimed(jobs, bool(more), come_back_ms)


def read_flags(reply: Reply) -> list[bool]:
    """One character a job."""
    return [flag == "1" for flag in reply.decode()]


def read_commit_answers(reply: Reply) -> list[CommitAnswer]:
    """One character a job."""
    return [CommitAnswer(answer) for answer in reply.decode()]


def read_texts(reply: Reply) -> list[str]:
    """Any list of names."""
    # Names that nobody of ours has written lead nowhere, but must be readable.
    return [text.decode(errors="replace") for text in reply]


def read_groups(reply: Reply) -> list[str]:
    """Names of groups; others are left out."""
    return [group for group in read_texts(reply) if is_group(group)]


def read_status(reply: Reply) -> JobStatus | None:
    """A state, or nothing."""
    return JobStatus(reply.decode()) if reply else None


def read_raw_bytes(reply: Reply) -> bytes | None:
    """A value as it is, or nothing."""
    return reply if reply is None else bytes(reply)


def read_optional_int(reply: Reply) -> int | None:
    """A number, or nothing."""
    return reply if reply is None else int(reply)


def read_reaped(reply: Reply) -> Reaped:
    """The reply of `reap`."""
    return Reaped(*reply)


def read_swept(reply: Reply) -> Swept:
    """The reply of `sweep`."""
    return Swept(*reply)
