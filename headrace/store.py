"""JobStore: the only reader and writer of job records.

Each method builds one operation; a connection carries it out: `SyncRedis.run` in tools and tests, `Mux.run` in the API,
`Wire.send` in a worker. Every change of state is one Lua script (`lua/`), compared and set on state and fence.
"""

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from headrace.jobs import Cause, Job, JobStatus, Lease, NewJob
from headrace.keys import Keys, group_of, is_group
from headrace.redis_op import Argument, RedisOp, Reply, load_script
from headrace.tiers import FLOOR_MS, OFFSET_MS, PRIORITY_LANE


class SubmitOutcome(StrEnum):
    """How a submission ended."""

    ACCEPTED = "accepted"
    #: The idempotency key had made a job of the same request before.
    REPLAYED = "replayed"
    #: The idempotency key had made a job of another request.
    MISMATCH = "mismatch"
    #: As many jobs wait as may.
    FULL = "full"


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

    def recent_wait_ms(self, now_ms: int) -> float | None:
        """Mean wait of the jobs that ended lately; None if none did."""
        if not self.lately or now_ms - self.at_ms > _LATELY_MS:
            return None
        return self.lately_wait_ms / self.lately


#: Of what waits beyond its next batch a worker may claim one job in so many, to choose from. Less than the share of a
#: worker that is seven times slower than all others together.
CLAIM_SHARE = 8

#: A mean over jobs that ended longer ago than this is not recent any more.
_LATELY_MS = 60_000
_COUNT_FIELDS = ("arrived", "ended", "wait_ms", "run_ms", "lately", "lately_wait_ms", "at")


class JobStore:
    """Operations on the job records of one cell."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys

    def _keyed(self, *args: Argument) -> tuple[Argument, ...]:
        return (self.keys.prefix, *args)

    # --- transitions -----------------------------------------------------------------------------------------

    def submit(self, job: NewJob, *, cap: int, idempotency_ttl_s: int = 86_400) -> RedisOp[Submitted]:
        """Accept a job: record, input, queue and bell, or nothing; `cap` limits the tenant's waiting jobs."""
        idempotency = self.keys.idempotency(job.tenant, job.idempotency_key) if job.idempotency_key else ""
        args = self._keyed(
            *(job.member, job.tenant, group_of(job.ref, job.tier), str(job.ref), str(job.tier)),
            *(OFFSET_MS[job.tier], FLOOR_MS[job.tier], cap, job.input, job.max_attempts),
            *(job.not_before_ms, job.start_by_ms, job.deadline_ms),
            *(idempotency, job.request_hash, idempotency_ttl_s, job.webhook_url, job.traceparent),
        )
        return RedisOp(_submitted, args, load_script("submit"))

    def claim(self, *, worker: str, groups: Sequence[str], size: ClaimSize, lease_ms: int) -> RedisOp[Claimed]:
        """Lease jobs in the order of service.

        Beyond its least a claim takes a share of what waits, as in guided self-scheduling (Polychronopoulos & Kuck,
        1987), so that workers of unlike speed end a backlog together.
        """
        least, most, most_bytes, ahead = size
        args = self._keyed(worker, least, most, ahead, CLAIM_SHARE, PRIORITY_LANE, most_bytes, lease_ms, *groups)
        return RedisOp(_claimed, args, load_script("claim"))

    def start(self, leases: Sequence[Lease], *, ago_ms: float = 0) -> RedisOp[list[bool]]:
        """A batch entered its forward pass `ago_ms` ago: each job becomes running and is charged an attempt.

        False stands for a job that is not ours.
        """
        args = self._keyed(round(ago_ms, 3), *_flat(leases))
        return RedisOp(_flags, args, load_script("start"))

    def renew(self, leases: Sequence[Lease], *, lease_ms: int) -> RedisOp[list[str]]:
        """Push the expiry of leases; answers those that are lost, as `member#fence`."""
        args = self._keyed(lease_ms, *(str(lease) for lease in leases))
        return RedisOp(_texts, args, load_script("renew"))

    def commit(self, outcomes: Sequence[Outcome], *, ran_ms: float, result_ttl_s: int) -> RedisOp[list[CommitAnswer]]:
        """Finish a batch whose forward pass took `ran_ms`; may be sent again when its answer was lost."""
        rows: list[Argument] = []
        for (member, fence), status, cause, body in outcomes:
            rows += (member, fence, status, cause or "", body)
        args = self._keyed(result_ttl_s, ran_ms, *rows)
        return RedisOp(_answers, args, load_script("commit"))

    def release(self, leases: Sequence[Lease]) -> RedisOp[int]:
        """Give jobs back to their old places without charging an attempt; answers how many."""
        args = self._keyed(*_flat(leases))
        return RedisOp(int, args, load_script("release"))

    def fail(self, failures: Sequence[Failure], *, result_ttl_s: int) -> RedisOp[list[CommitAnswer]]:
        """End attempts without a result: the job waits for its next one, or fails when none is left."""
        rows: list[Argument] = []
        for (member, fence), cause, backoff_ms, body in failures:
            rows += (member, fence, cause, backoff_ms, body)
        args = self._keyed(result_ttl_s, *rows)
        return RedisOp(_answers, args, load_script("fail"))

    def cancel(self, member: str, *, result_ttl_s: int) -> RedisOp[JobStatus | None]:
        """Cancel a job: at once if it is not in a forward pass; answers its state now, None if there is no job."""
        args = self._keyed(member, result_ttl_s)
        return RedisOp(_status, args, load_script("cancel"))

    def expire(self, *, limit: int, result_ttl_s: int) -> RedisOp[int]:
        """Expire jobs whose deadline or latest start has passed; answers how many."""
        return RedisOp(int, self._keyed(limit, result_ttl_s), load_script("expire"))

    def reap(self, *, limit: int, result_ttl_s: int) -> RedisOp[Reaped]:
        """Take jobs back from silent workers: a new fence, and the old place or, without attempts left, failed."""
        return RedisOp(_reaped, self._keyed(limit, result_ttl_s), load_script("reap"))

    def promote(self, *, limit: int) -> RedisOp[int]:
        """Make delayed jobs ready whose time has come; answers how many."""
        return RedisOp(int, self._keyed(limit), load_script("promote"))

    def sweep(self, tenant: str, *, cursor: int, limit: int, result_ttl_s: int) -> RedisOp[Swept]:
        """Look at `limit` jobs of a tenant's index from `cursor`: forget what is gone, mend what is in no set."""
        args = self._keyed(tenant, cursor, limit, result_ttl_s)
        return RedisOp(_swept, args, load_script("sweep"))

    def forget(self, tenant: str, *, cursor: int, limit: int) -> RedisOp[Forgotten]:
        """Look at `limit` jobs of a tenant's index from `cursor`, the oldest first, and forget those that have ended."""
        args = self._keyed(tenant, cursor, limit)
        return RedisOp(lambda reply: Forgotten(*reply), args, load_script("forget"))

    # --- reading ---------------------------------------------------------------------------------------------

    def read(self, member: str) -> RedisOp[Job | None]:
        """The record of a job, None if there is none."""

        def parse(reply: Reply) -> Job | None:
            record = {reply[i].decode(): reply[i + 1].decode() for i in range(0, len(reply), 2)}
            return Job.from_record(member, record) if record else None

        return RedisOp(parse, ("HGETALL", self.keys.job(member)))

    def output(self, member: str) -> RedisOp[bytes | None]:
        """The result of a job that succeeded, the error document of one that failed, else None."""
        return RedisOp(_bytes, ("GET", self.keys.output(member)))

    def position(self, job: Job) -> RedisOp[int | None]:
        """How many ready jobs of its tenant and group stand before a job; None if it is not in its ready set."""
        ready = self.keys.ready(group_of(job.ref, job.tier), job.tenant)
        return RedisOp(_optional_int, ("ZRANK", ready, job.member))

    def groups(self) -> RedisOp[list[str]]:
        """Every group that jobs were submitted to."""
        return RedisOp(_groups, ("ZRANGE", self.keys.groups, 0, -1))

    def tenants(self) -> RedisOp[list[str]]:
        """Every tenant that submitted."""
        return RedisOp(_texts, ("SMEMBERS", self.keys.tenants))

    def depths(self, groups: Sequence[str]) -> RedisOp[list[QueueDepth]]:
        """What waits in each of the groups."""

        def parse(reply: Reply) -> list[QueueDepth]:
            pairs = zip(groups, range(0, len(reply), 2), strict=True)
            return [QueueDepth(group, int(reply[i]), int(reply[i + 1])) for group, i in pairs]

        return RedisOp(parse, self._keyed(*groups), load_script("depths"))

    def counts(self, group: str) -> RedisOp[QueueCounts]:
        """What came to a group and what was done for it."""
        return RedisOp(_counts, ("HMGET", self.keys.queue(group), *_COUNT_FIELDS))

    def dead_letters(self, tenant: str, *, limit: int, before_us: int | None = None) -> RedisOp[list[DeadLetter]]:
        """A tenant's jobs that were given up, the newest first; from those that ended before `before_us`, if given."""
        newest = "+inf" if before_us is None else f"({before_us}"
        command = ("ZREVRANGEBYSCORE", self.keys.dead_letters(tenant), newest, "-inf", "WITHSCORES", "LIMIT", 0, limit)
        return RedisOp(_dead_letters, command)

    def forget_dead_letters(self, tenant: str, members: Sequence[str]) -> RedisOp[int]:
        """Take jobs off the list of those that were given up; answers how many were on it."""
        return RedisOp(int, ("ZREM", self.keys.dead_letters(tenant), *members))

    def input(self, member: str) -> RedisOp[bytes | None]:
        """What was submitted: of a job that has not ended, or failed; else None."""
        return RedisOp(_bytes, ("GET", self.keys.input(member)))

    def webhook_url(self, member: str) -> RedisOp[bytes | None]:
        """Where the job's end is told, None if nowhere."""
        return RedisOp(_bytes, ("GET", self.keys.hook(member)))

    def recent(self, tenant: str, *, limit: int) -> RedisOp[list[str]]:
        """Members of a tenant's newest jobs, newest first."""
        return RedisOp(_texts, ("ZREVRANGE", self.keys.index(tenant), 0, limit - 1))


def _dead_letters(reply: Reply) -> list[DeadLetter]:
    return [DeadLetter(reply[i].decode(), int(float(reply[i + 1]))) for i in range(0, len(reply), 2)]


def _counts(reply: Reply) -> QueueCounts:
    arrived, ended, wait_ms, run_ms, lately, lately_wait_ms, at_ms = map(_number, reply)
    return QueueCounts(int(arrived), int(ended), wait_ms, run_ms, lately, lately_wait_ms, int(at_ms))


def _number(value: bytes | None) -> float:
    # Counts are for watching: what somebody else wrote there stops nobody.
    try:
        number = float(value or 0)
    except ValueError:
        return 0.0
    return number if math.isfinite(number) else 0.0


def _flat(leases: Sequence[Lease]) -> list[Argument]:
    return [part for lease in leases for part in lease]


def _submitted(reply: Reply) -> Submitted:
    outcome, member, depth, now_ms = reply
    return Submitted(SubmitOutcome(outcome.decode()), member.decode(), depth, now_ms)


def _claimed(reply: Reply) -> Claimed:
    more, come_back_ms, traces, rescues, dues = reply[:5]
    jobs = [ClaimedJob(reply[i].decode(), *reply[i + 1 : i + 6]) for i in range(5, len(reply), 6)]
    for i in range(0, len(traces), 2):
        place = traces[i] - 1
        jobs[place] = jobs[place]._replace(traceparent=traces[i + 1].decode())
    for i in range(0, len(rescues), 2):
        place = rescues[i] - 1
        jobs[place] = jobs[place]._replace(rescues=rescues[i + 1])
    for i in range(0, len(dues), 2):
        place = dues[i] - 1
        jobs[place] = jobs[place]._replace(deadline_in_ms=dues[i + 1])
    return Claimed(jobs, bool(more), come_back_ms)


def _flags(reply: Reply) -> list[bool]:
    return [flag == "1" for flag in reply.decode()]


def _answers(reply: Reply) -> list[CommitAnswer]:
    return [CommitAnswer(answer) for answer in reply.decode()]


def _texts(reply: Reply) -> list[str]:
    # Names that nobody of ours has written lead nowhere, but must be readable.
    return [text.decode(errors="replace") for text in reply]


def _groups(reply: Reply) -> list[str]:
    return [group for group in _texts(reply) if is_group(group)]


def _status(reply: Reply) -> JobStatus | None:
    return JobStatus(reply.decode()) if reply else None


def _bytes(reply: Reply) -> bytes | None:
    return reply if reply is None else bytes(reply)


def _optional_int(reply: Reply) -> int | None:
    return reply if reply is None else int(reply)


def _reaped(reply: Reply) -> Reaped:
    return Reaped(*reply)


def _swept(reply: Reply) -> Swept:
    return Swept(*reply)
