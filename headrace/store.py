"""JobStore: the only reader and writer of job records.

Each method builds one operation; a connection carries it out: `SyncRedis.run` in tools and tests, `Mux.run` in the API,
`Wire.send` in a worker. Every change of state is one Lua script (`lua/`), compared and set on state and fence.
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType

from headrace.jobs import Job, JobStatus, Lease, NewJob, Reason
from headrace.keys import Keys
from headrace.model_ref import ModelRef
from headrace.redis_op import Argument, RedisOp, Reply, load_script
from headrace.replies import read_flags, read_groups, read_raw_bytes, read_status, read_texts
from headrace.store_care import Forgotten, Hastened, Hastening, Reaped, Swept, read_reaped, read_swept
from headrace.store_submissions import Amended, Amendment, Submitted, read_amended, read_submitted, submission_rows
from headrace.store_views import (
    COUNT_FIELDS,
    Browsed,
    DeadLetter,
    DueJobs,
    PastAttempt,
    Place,
    QueueCounts,
    QueueDepth,
    read_browsed,
    read_counts,
    read_dead_letters,
    read_past,
)
from headrace.store_work import (
    Claimed,
    ClaimSize,
    CommitAnswer,
    Failure,
    Outcome,
    PassProgress,
    read_claimed,
    read_commit_answers,
)
from headrace.tiers import FLOOR_MS, OFFSET_MS, PRIORITY_LANE

#: Of what waits beyond its next batch a worker may claim one job in so many, to choose from. Less than the share of a
#: worker that is seven times slower than all others together.
CLAIM_SHARE = 8


#: How long an id that a submitter chose is known after its submission, though its job is no longer kept.
NAME_TTL_S = 30 * 86_400


_NOTHING_KEPT: Mapping[Lease, bytes] = MappingProxyType({})


class JobStore:
    """Operations on the job records of one cell."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys

    def _keyed(self, *args: Argument) -> tuple[Argument, ...]:
        return (self.keys.prefix, *args)

    # --- transitions -----------------------------------------------------------------------------------------

    def submit(self, job: NewJob, *, cap: int, idempotency_ttl_s: int = 86_400) -> RedisOp[Submitted]:
        """Accept a job: record, input, queue and bell, or nothing; `cap` limits the tenant's waiting jobs."""
        rows, members = submission_rows([job], self.keys)
        args = self._keyed(job.tenant, cap, idempotency_ttl_s, NAME_TTL_S, 0, *rows)
        return RedisOp(partial(_read_one, members), args, load_script("submit"))

    def submit_many(
        self, jobs: Sequence[NewJob], *, cap: int, idempotency_ttl_s: int = 86_400, is_whole: bool = False
    ) -> RedisOp[list[Submitted]]:
        """Accept jobs of one tenant, in this order; with `is_whole` all of them or none."""
        rows, members = submission_rows(jobs, self.keys)
        args = self._keyed(jobs[0].tenant, cap, idempotency_ttl_s, NAME_TTL_S, int(is_whole), *rows)
        return RedisOp(partial(read_submitted, members), args, load_script("submit"))

    def foresee(self, job: NewJob, *, cap: int) -> RedisOp[Submitted]:
        """What `submit` would answer now; nothing is stored."""
        rows, members = submission_rows([job], self.keys)
        args = self._keyed(job.tenant, cap, 1, 1, "look", *rows)
        return RedisOp(partial(_read_one, members), args, load_script("submit"))

    def claim(self, *, worker: str, groups: Sequence[str], size: ClaimSize, lease_ms: int) -> RedisOp[Claimed]:
        """Lease jobs in the order of service.

        Beyond its least a claim takes a share of what waits, as in guided self-scheduling (Polychronopoulos & Kuck,
        1987), so that workers of unlike speed end a backlog together.
        """
        least, most, most_bytes, ahead = size
        args = self._keyed(worker, least, most, ahead, CLAIM_SHARE, PRIORITY_LANE, most_bytes, lease_ms, *groups)
        return RedisOp(read_claimed, args, load_script("claim"))

    def start(self, leases: Sequence[Lease], *, ago_ms: float = 0) -> RedisOp[list[bool]]:
        """A batch entered its forward pass `ago_ms` ago: each job becomes running and is charged an attempt.

        False stands for a job that is not ours.
        """
        args = self._keyed(round(ago_ms, 3), *_flat(leases))
        return RedisOp(read_flags, args, load_script("start"))

    def progress(self, said: Sequence[PassProgress]) -> RedisOp[list[bool]]:
        """Note how far passes are; False stands for a job that is not ours, or not in one."""
        rows: list[Argument] = []
        for (member, fence), fraction, message in said:
            rows += (member, fence, round(fraction, 4), message)
        return RedisOp(read_flags, self._keyed(*rows), load_script("progress"))

    def renew(self, leases: Sequence[Lease], *, lease_ms: int) -> RedisOp[list[str]]:
        """Push the expiry of leases; answers those that are lost, as `member#fence`."""
        args = self._keyed(lease_ms, *(str(lease) for lease in leases))
        return RedisOp(read_texts, args, load_script("renew"))

    def commit(self, outcomes: Sequence[Outcome], *, ran_ms: float, result_ttl_s: int) -> RedisOp[list[CommitAnswer]]:
        """Finish a batch whose forward pass took `ran_ms`; may be sent again when its answer was lost."""
        rows: list[Argument] = []
        for (member, fence), _, _, body, _ in outcomes:
            rows += (member, fence, body)
        if any(outcome.status is not JobStatus.SUCCEEDED for outcome in outcomes):
            for outcome in outcomes:
                rows += (outcome.status, outcome.cause or "")
        args = self._keyed(result_ttl_s, ran_ms, _parts(outcomes), len(outcomes), *rows)
        return RedisOp(read_commit_answers, args, load_script("commit"))

    def release(
        self,
        leases: Sequence[Lease],
        *,
        reason: Reason | None = None,
        outgrown_bytes: int = 0,
        kept: Mapping[Lease, bytes] = _NOTHING_KEPT,
    ) -> RedisOp[int]:
        """Give jobs back to their old places without charging an attempt, and say why; answers how many.

        Args:
            leases: of the jobs.
            reason: why, if that is more than that they wait again.
            outgrown_bytes: of memory that they have outgrown, so that they are for larger workers from now on; or 0.
            kept: how far the passes of some are, for the workers that run them next.
        """
        rows = (part for lease in leases for part in (*lease, kept.get(lease, b"")))
        args = self._keyed(reason or "", outgrown_bytes or "", *rows)
        return RedisOp(int, args, load_script("release"))

    def fail(self, failures: Sequence[Failure], *, result_ttl_s: int) -> RedisOp[list[CommitAnswer]]:
        """End attempts without a result: the job waits for its next one, or fails when none is left."""
        rows: list[Argument] = []
        for (member, fence), cause, backoff_ms, body, outgrown_bytes in failures:
            rows += (member, fence, cause, backoff_ms, body, outgrown_bytes or "")
        args = self._keyed(result_ttl_s, *rows)
        return RedisOp(read_commit_answers, args, load_script("fail"))

    def cancel(self, member: str, *, result_ttl_s: int) -> RedisOp[JobStatus | None]:
        """Cancel a job: at once if it is not in a forward pass; answers its state now, None if there is no job."""
        args = self._keyed(member, result_ttl_s)
        return RedisOp(read_status, args, load_script("cancel"))

    def erase(self, member: str, *, result_ttl_s: int) -> RedisOp[str | None]:
        """Delete what a job holds, canceling it first if it has not ended.

        Answers `erased`, `canceling` or `untold` (its record stays for now), None if there is no job.
        """
        args = self._keyed(member, result_ttl_s)
        return RedisOp(lambda reply: reply and reply.decode(), args, load_script("erase"))

    def amend(self, job: Job, change: Amendment, *, cap: int) -> RedisOp[Amended | None]:
        """Change what a job that waits was submitted with; None if there is no job."""
        tier = change.tier or job.tier
        deadline = "" if change.deadline_ms is None else change.deadline_ms
        args = self._keyed(
            *(job.member, cap, str(job.tier), str(tier), OFFSET_MS[tier], FLOOR_MS[tier]),
            *(deadline, change.metadata or ""),
            *("" if change.webhook_url is None else change.webhook_url or "-", change.webhook_letters),
        )
        return RedisOp(read_amended, args, load_script("amend"))

    def expire(self, *, limit: int, result_ttl_s: int) -> RedisOp[int]:
        """Expire jobs whose deadline or latest start has passed; answers how many."""
        return RedisOp(int, self._keyed(limit, result_ttl_s), load_script("expire"))

    def reap(self, *, limit: int, result_ttl_s: int) -> RedisOp[Reaped]:
        """Take jobs back from silent workers: a new fence, and the old place or, without attempts left, failed."""
        return RedisOp(read_reaped, self._keyed(limit, result_ttl_s), load_script("reap"))

    def promote(self, *, limit: int) -> RedisOp[int]:
        """Make delayed jobs ready whose time has come; answers how many."""
        return RedisOp(int, self._keyed(limit), load_script("promote"))

    def hasten(self, rows: Sequence[Hastening], *, cursor: int, limit: int, most: int) -> RedisOp[Hastened]:
        """Look at `limit` near deadlines from `cursor`; move at most so many jobs that are at risk."""
        horizon_ms = math.ceil(max(row.horizon_ms for row in rows))
        flat: list[Argument] = []
        for group, tier, waiting, each_ms, needs_ms, least_ms in rows:
            flat += (group, tier, waiting, round(each_ms, 3), math.ceil(needs_ms), math.ceil(least_ms))
        args = self._keyed(cursor, limit, most, horizon_ms, *flat)
        return RedisOp(lambda reply: Hastened(*reply), args, load_script("hasten"))

    def sweep(self, tenant: str, *, cursor: int, limit: int, result_ttl_s: int) -> RedisOp[Swept]:
        """Look at `limit` jobs of a tenant's index from `cursor`: forget what is gone, mend what is in no set."""
        args = self._keyed(tenant, cursor, limit, result_ttl_s)
        return RedisOp(read_swept, args, load_script("sweep"))

    def forget(self, tenant: str, *, cursor: int, limit: int) -> RedisOp[Forgotten]:
        """Look at `limit` jobs of a tenant's index from `cursor`, oldest first; forget those that have ended."""
        args = self._keyed(tenant, cursor, limit)
        return RedisOp(lambda reply: Forgotten(*reply), args, load_script("forget"))

    # --- reading ---------------------------------------------------------------------------------------------

    def read(self, member: str) -> RedisOp[Job | None]:
        """The record of a job, None if there is none."""

        def parse(reply: Reply) -> Job | None:
            texts = [part.decode() for part in reply]
            record = dict(zip(texts[::2], texts[1::2], strict=True))
            return Job.from_record(member, record) if record else None

        return RedisOp(parse, ("HGETALL", self.keys.job(member)))

    def output(self, member: str) -> RedisOp[bytes | None]:
        """The result of a job that succeeded, the error document of one that failed, else None."""
        return RedisOp(read_raw_bytes, ("GET", self.keys.output(member)))

    def place(
        self, tenant: str, group: str, score: float, others: Sequence[str], *, member: str = "", fairness_key: str = ""
    ) -> RedisOp[Place]:
        """What comes before a place in a tenant's queue; `others` are the groups of other tiers that compete.

        Jobs that came in one call share a score: with `member` it is this one's place among them. With `fairness_key`
        it is the place that the key's next job would get, whose score without keys is `score`.
        """
        args = self._keyed(tenant, group, f"{score:.3f}", member, fairness_key, *others)
        return RedisOp(lambda reply: Place(*reply), args, load_script("place"))

    def groups(self) -> RedisOp[list[str]]:
        """Every group that jobs were submitted to."""
        return RedisOp(read_groups, ("ZRANGE", self.keys.groups, 0, -1))

    def tenants(self) -> RedisOp[list[str]]:
        """Every tenant that submitted."""
        return RedisOp(read_texts, ("SMEMBERS", self.keys.tenants))

    def depths(self, groups: Sequence[str]) -> RedisOp[list[QueueDepth]]:
        """What waits in each of the groups."""

        def parse(reply: Reply) -> list[QueueDepth]:
            pairs = zip(groups, range(0, len(reply), 2), strict=True)
            return [QueueDepth(group, int(reply[i]), int(reply[i + 1])) for group, i in pairs]

        return RedisOp(parse, self._keyed(*groups), load_script("depths"))

    def dues(self, until_s: Sequence[float], *, most: int) -> RedisOp[list[DueJobs]]:
        """What waits and is due soon, in stretches that end at these seconds; `most` jobs of each are looked at."""

        def parse(reply: Reply) -> list[DueJobs]:
            rows = range(0, len(reply), 3)
            return [DueJobs(reply[i].decode(), int(reply[i + 1]), int(reply[i + 2]) / 1000) for i in rows]

        return RedisOp(parse, self._keyed(most, *(round(1000 * end_s) for end_s in until_s)), load_script("dues"))

    def counts(self, group: str) -> RedisOp[QueueCounts]:
        """What came to a group and what was done for it."""
        return RedisOp(read_counts, ("HMGET", self.keys.queue(group), *COUNT_FIELDS))

    def warm_up(self, ref: ModelRef, *, until_ms: int) -> RedisOp[int]:
        """Have workers load a version, jobs or not, as long as that."""
        return RedisOp(int, ("ZADD", self.keys.warm, until_ms, str(ref)))

    def warm(self, *, now_ms: int) -> RedisOp[list[str]]:
        """The versions that workers are to have loaded, jobs or not."""
        return RedisOp(read_texts, ("ZRANGE", self.keys.warm, now_ms, "+inf", "BYSCORE"))

    def dead_letters(self, tenant: str, *, limit: int, before_us: int | None = None) -> RedisOp[list[DeadLetter]]:
        """A tenant's jobs that were given up, the newest first; from those that ended before `before_us`, if given."""
        newest = "+inf" if before_us is None else f"({before_us}"
        command = ("ZREVRANGEBYSCORE", self.keys.dead_letters(tenant), newest, "-inf", "WITHSCORES", "LIMIT", 0, limit)
        return RedisOp(read_dead_letters, command)

    def forget_dead_letters(self, tenant: str, members: Sequence[str]) -> RedisOp[int]:
        """Take jobs off the list of those that were given up; answers how many were on it."""
        return RedisOp(int, ("ZREM", self.keys.dead_letters(tenant), *members))

    def input(self, member: str) -> RedisOp[bytes | None]:
        """What was submitted: of a job that has not ended, or failed; else None."""
        return RedisOp(read_raw_bytes, ("GET", self.keys.input(member)))

    def metadata(self, member: str) -> RedisOp[bytes | None]:
        """What its submitter noted beside a job (JSON), None if nothing."""
        return RedisOp(read_raw_bytes, ("GET", self.keys.metadata(member)))

    def past(self, member: str) -> RedisOp[list[PastAttempt]]:
        """A job's attempts that came to no result, the newest 20, in their order."""
        return RedisOp(read_past, ("LRANGE", self.keys.past(member), 0, -1))

    def is_named(self, member: str) -> RedisOp[int]:
        """1 if a submitter chose this id for a job, lately or still kept."""
        return RedisOp(int, ("EXISTS", self.keys.named(member)))

    def webhook_url(self, member: str) -> RedisOp[bytes | None]:
        """Where the job's end is told, None if nowhere."""
        return RedisOp(read_raw_bytes, ("GET", self.keys.hook(member)))

    def browse(self, tenant: str, score: float, after: str, *, limit: int) -> RedisOp[list[Browsed]]:
        """Jobs of a tenant that came at `score` or earlier, the newest first; with `after` those after that member."""
        start = "+inf" if math.isinf(score) else f"{score:.3f}"
        return RedisOp(read_browsed, self._keyed(tenant, start, after, limit), load_script("browse"))

    def recent(self, tenant: str, *, limit: int) -> RedisOp[list[str]]:
        """Members of a tenant's newest jobs, newest first."""
        return RedisOp(read_texts, ("ZREVRANGE", self.keys.index(tenant), 0, limit - 1))


def _read_one(members: Sequence[str], reply: Reply) -> Submitted:
    return read_submitted(members, reply)[0]


def _parts(outcomes: Sequence[Outcome]) -> str:
    parts = [outcome.part_ms for outcome in outcomes]
    return "" if None in parts else ",".join(f"{part:.3f}" for part in parts)


def _flat(leases: Sequence[Lease]) -> list[Argument]:
    return [part for lease in leases for part in lease]
