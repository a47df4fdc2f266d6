"""What the store shows of jobs and queues to those who only look."""

import math
from typing import NamedTuple

import orjson

from headrace.jobs import Job
from headrace.redis_op import Reply

#: A mean over jobs that ended longer ago than this is not recent any more.
_LATELY_MS = 60_000

#: Fields of a queue's hash, in the order of `QueueCounts`.
COUNT_FIELDS = ("arrived", "ended", "wait_ms", "run_ms", "lately", "lately_wait_ms", "at", "failed")


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


class DueJobs(NamedTuple):
    """Jobs of a group that wait and have deadlines, close together."""

    group: str
    jobs: int
    #: Until they are due, on average.
    in_s: float


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


def read_dead_letters(reply: Reply) -> list[DeadLetter]:
    """Members and when they ended."""
    return [DeadLetter(reply[i].decode(), int(float(reply[i + 1]))) for i in range(0, len(reply), 2)]


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
