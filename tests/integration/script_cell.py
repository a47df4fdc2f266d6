"""Short forms of the operations for tests of the scripts, on a cell of their own in the shared server."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from headrace.delivery_store import DeliveryStore, Settlement, given_back
from headrace.groups import group_of
from headrace.jobs import Cause, Job, JobStatus, Lease, NewJob
from headrace.keys import Keys
from headrace.model_ref import ModelRef
from headrace.queue_store import Pause, QueueStore
from headrace.redis_op import RedisOp, Script
from headrace.store import JobStore
from headrace.store_care import Forgotten, Hastened, Hastening, Reaped, Swept
from headrace.store_submissions import Amendment, Submitted
from headrace.store_work import Claimed, ClaimSize, CommitAnswer, Failure, Outcome
from headrace.sync_redis import SyncRedis
from headrace.tiers import Tier
from headrace.usage import Usage
from headrace.usage_store import UsageStore
from headrace.webhooks import DeliveryState, DueDelivery

T = TypeVar("T")

REF: Final = ModelRef("m", 1)
GROUPS: Final = tuple(group_of(REF, tier) for tier in Tier)
#: Memory that some jobs have outgrown, and all groups with those of such jobs.
OUTGROWN: Final = 4_000_000_000
ALL_GROUPS: Final = (*GROUPS, *(group_of(REF, tier, OUTGROWN) for tier in Tier))
STANDARD: Final = group_of(REF, Tier.STANDARD)
SPOT: Final = group_of(REF, Tier.SPOT)
TTL_S: Final = 600


class Cell:
    """A cell's operations with defaults that suit tests.

    Args:
        connection: carries the operations out.
        keys: the cell.
        rewrite: changes each script before it is sent, to break it on purpose.
    """

    def __init__(self, *, connection: SyncRedis, keys: Keys, rewrite: Callable[[Script], Script] | None = None) -> None:
        self.keys = keys
        self.store = JobStore(keys)
        self.deliveries = DeliveryStore(keys)
        self.queues = QueueStore(keys)
        self.rewrite = rewrite
        self._connection = connection
        #: Typed loosely: redis-py declares every answer as "may be awaitable".
        self.redis: Any = connection.client

    def run(self, op: RedisOp[T]) -> T:
        """Carry out an operation, with its script rewritten."""
        if op.script and self.rewrite:
            op = replace(op, script=self.rewrite(op.script))
        return self._connection.run(op)

    def run_all(self, ops: Sequence[RedisOp[Any]]) -> list[Any]:
        """Carry out many operations in one round trip, scripts as they are."""
        return self._connection.run_all(ops)

    def now_ms(self) -> int:
        """The server's clock."""
        seconds, micros = self.redis.time()
        return int(seconds) * 1000 + int(micros) // 1000

    # --- operations ------------------------------------------------------------------------------------------

    def submit(self, job_id: str = "j1", *, cap: int = 1000, **fields: Any) -> Submitted:
        """Submit a job of model `m@1`."""
        return self.run(self.store.submit(new_job(job_id, **fields), cap=cap))

    def submit_many(self, count: int, **fields: Any) -> None:
        """Submit jobs j0, j1, … in one round trip."""
        self.run_all([self.store.submit(new_job(f"j{i}", **fields), cap=count) for i in range(count)])

    def claim(
        self,
        *,
        worker: str = "w1",
        groups: Sequence[str] = GROUPS,
        jobs: int = 10,
        most: int = 0,
        ahead: int = 0,
        room: int = 10**6,
    ) -> Claimed:
        """Claim with a lease of a minute and room for `room` bytes; with `most`, a share beyond `jobs`."""
        size = ClaimSize(jobs, max(jobs, most), room, ahead)
        return self.run(self.store.claim(worker=worker, groups=groups, size=size, lease_ms=60_000))

    def take(self, *, worker: str = "w1", jobs: int = 10) -> list[Lease]:
        """Claim as a worker of any size would; answers the leases."""
        return [job.lease for job in self.claim(worker=worker, groups=ALL_GROUPS, jobs=jobs).jobs]

    def take_and_start(self, *, worker: str = "w1", jobs: int = 10) -> list[Lease]:
        """Claim and begin the forward pass."""
        leases = self.take(worker=worker, jobs=jobs)
        self.run(self.store.start(leases))
        return leases

    def commit(
        self, leases: Sequence[Lease], *, body: bytes = b'"done"', cause: Cause | None = None
    ) -> list[CommitAnswer]:
        """Commit all as succeeded, or with a cause as failed."""
        status = JobStatus.FAILED if cause else JobStatus.SUCCEEDED
        outcomes = [Outcome(lease, status, cause, body) for lease in leases]
        return self.run(self.store.commit(outcomes, ran_ms=7, result_ttl_s=TTL_S))

    def fail(
        self, leases: Sequence[Lease], *, backoff_ms: int = 0, outgrown_bytes: int = 0, cause: Cause = Cause.MODEL
    ) -> list[CommitAnswer]:
        """End attempts without a result."""
        body = f'{{"cause":"{cause}"}}'.encode()
        failures = [Failure(lease, cause, backoff_ms, body, outgrown_bytes) for lease in leases]
        return self.run(self.store.fail(failures, result_ttl_s=TTL_S))

    def cancel(self, member: str) -> JobStatus | None:
        """Cancel a job."""
        return self.run(self.store.cancel(member, result_ttl_s=TTL_S))

    def erase(self, member: str) -> str | None:
        """Delete what a job holds."""
        return self.run(self.store.erase(member, result_ttl_s=TTL_S))

    def amend(self, member: str, *, cap: int = 1000, **change: Any) -> str | None:
        """Change a job that waits; answers the outcome."""
        amended = self.run(self.store.amend(self.job(member), Amendment(**change), cap=cap))
        return amended.outcome if amended else None

    def hasten(
        self,
        *,
        tier: Tier = Tier.STANDARD,
        each_ms: float = 0.0,
        needs_ms: float = 60_000.0,
        least_ms: float = 0.0,
        cursor: int = 0,
        limit: int = 100,
        most: int = 100,
    ) -> Hastened:
        """Move spot jobs that end too late: by default those whose deadline is within a minute."""
        row = Hastening(SPOT, tier, 1000, each_ms, needs_ms, least_ms)
        return self.run(self.store.hasten([row], cursor=cursor, limit=limit, most=most))

    def pause(self, queue: str = STANDARD, *, reason: str = "") -> Pause:
        """Let no worker claim from a queue."""
        return self.run(self.queues.pause(queue, reason=reason))

    def resume(self, queue: str = STANDARD) -> bool:
        """Let workers claim from it again."""
        return self.run(self.queues.resume(queue))

    def expire(self) -> int:
        """Expire what is due."""
        return self.run(self.store.expire(limit=100, result_ttl_s=TTL_S))

    def reap(self) -> Reaped:
        """Reap what has lapsed."""
        return self.run(self.store.reap(limit=100, result_ttl_s=TTL_S))

    def forget(self, tenant: str = "default") -> Forgotten:
        """Forget what has ended of the oldest hundred jobs."""
        return self.run(self.store.forget(tenant, cursor=0, limit=100))

    def sweep(self, tenant: str = "default") -> Swept:
        """Sweep a tenant's whole index."""
        return self.run(self.store.sweep(tenant, cursor=0, limit=1000, result_ttl_s=TTL_S))

    def claim_deliveries(self, *, limit: int = 100, room: int = 1000) -> list[DueDelivery]:
        """Lease what is due to be told."""
        op = self.deliveries.claim(limit=limit, lease_ms=60_000, most_output_bytes=room)
        return self.run(op).due

    def settle(self, due: Sequence[DueDelivery], state: DeliveryState, *, outcome: str = "http_200") -> list[bool]:
        """Note what came of attempts; what is pending is tried again in a minute."""
        rows = [Settlement(delivery.id, delivery.fence, state, outcome, 60_000) for delivery in due]
        return self.run(self.deliveries.settle(rows, result_ttl_s=TTL_S))

    def give_back(self, due: Sequence[DueDelivery]) -> list[bool]:
        """Say that deliveries were not attempted; they are due again in a minute."""
        rows = [given_back(delivery, 60_000) for delivery in due]
        return self.run(self.deliveries.settle(rows, result_ttl_s=TTL_S))

    # --- the passing of time ---------------------------------------------------------------------------------

    def lapse_leases(self) -> None:
        """Make every lease run out now."""
        self._make_past(self.keys.leases)

    def lapse_delays(self) -> None:
        """Make every delayed job due now."""
        self._make_past(self.keys.delayed)

    def lapse_deliveries(self) -> None:
        """Make every delivery due now."""
        self._make_past(self.keys.outbox)

    def pass_deadlines(self, *members: str) -> None:
        """Make the deadlines and latest starts of jobs lie in the past."""
        for member in members:
            for field in ("d", "y"):
                if self.redis.hexists(self.keys.job(member), field):
                    self.redis.hset(self.keys.job(member), field, 1)
        self._make_past(self.keys.deadlines)

    def _make_past(self, key: str) -> None:
        if members := self.redis.zrange(key, 0, -1):
            self.redis.zadd(key, dict.fromkeys(members, 1))

    # --- files -----------------------------------------------------------------------------------------------

    def save(self) -> dict[bytes, bytes]:
        """All that the server holds of the cell."""
        return {key: self.redis.dump(key) for key in self._all_keys()}

    def clear(self) -> None:
        """Leave nothing of the cell: whoever looks through all keys has less to look through."""
        if keys := self._all_keys():
            self.redis.delete(*keys)

    def _all_keys(self) -> list[bytes]:
        return list(self.redis.scan_iter(f"{self.keys.prefix}*", count=10_000))

    def load(self, file: Mapping[bytes, bytes]) -> None:
        """Make the server hold that again, and nothing else."""
        self.clear()
        for key, value in file.items():
            self.redis.restore(key, 0, value)

    # --- looking ---------------------------------------------------------------------------------------------

    def job(self, member: str) -> Job:
        """The record of a job that is there."""
        job = self.run(self.store.read(member))
        assert job is not None
        return job

    def status(self, member: str) -> JobStatus:
        """The state of a job."""
        return self.job(member).status

    def output(self, member: str) -> bytes | None:
        """The output of a job."""
        return self.run(self.store.output(member))

    def ready(self, group: str = STANDARD, tenant: str = "default") -> list[str]:
        """A ready set in its order."""
        return [member.decode() for member in self.redis.zrange(self.keys.ready(group, tenant), 0, -1)]

    def rings(self, group: str = STANDARD) -> int:
        """How often the group's bell has rung."""
        bell = self.keys.bell(group)
        return int(self.redis.xinfo_stream(bell)["entries-added"]) if self.redis.exists(bell) else 0

    def events(self) -> list[str]:
        """What the event stream says, one string an entry."""
        return [fields[b"jobs"].decode() for _, fields in self.redis.xrange(self.keys.events)]

    def told_ends(self) -> dict[str, bytes]:
        """The ends that the event stream tells those who wait, by member."""
        entries = [fields for _, fields in self.redis.xrange(self.keys.events)]
        return {name.decode(): end for fields in entries for name, end in fields.items() if name != b"jobs"}

    def usage(self) -> list[Usage]:
        """What all tenants had on all days."""
        store = UsageStore(self.keys)
        days = self.run(store.days(0, 10**6))
        return [row for rows in self.run_all([store.of(whose) for whose in days]) for row in rows]

    def stat(self, name: str) -> int:
        """One of the counters."""
        return int(self.redis.hget(self.keys.stats, name) or 0)


def new_job(job_id: str = "j1", **fields: Any) -> NewJob:
    """A job of model `m@1` with plain values where none are given."""
    defaults: dict[str, Any] = {"tenant": "default", "ref": REF, "tier": Tier.STANDARD, "input": b'"x"'}
    return NewJob(id=job_id, **(defaults | fields))


def usage_totals(cell: Cell) -> Counter[str]:
    """What all tenants had of anything, all in all."""
    return sum((Counter(row.counts) for row in cell.usage()), Counter())
