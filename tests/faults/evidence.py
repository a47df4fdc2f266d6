"""Evidence: everything that is left after a run and that the checker looks at."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import orjson

from headrace.delivery_store import DeliveryStore
from headrace.jobs import Job, JobStatus
from headrace.redis_op import RedisOp
from headrace.usage_store import UsageStore
from headrace.webhooks import DeliveryState, delivery_id_of
from tests.faults.audit import Story, read_audit
from tests.faults.cluster import Cluster
from tests.faults.ledger import TENANT
from tests.faults.submitter import Question
from tests.integration.receivers import Heard, Receiver

_JOBS_A_CALL = 1_000


class Execution(NamedTuple):
    """One input in one forward pass, as the model itself noted it."""

    x: int
    #: Process of the worker.
    pid: int
    at_ms: int


class Told(NamedTuple):
    """What a receiver heard of one event."""

    event: str
    webhook_ids: tuple[str, ...]
    #: When it happened, as the event says.
    at_ms: int
    #: Seconds, when the first attempt was signed.
    first_s: int
    #: How many different ones came.
    bodies: int = 1


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A run, after it. `questions` are the accepted jobs by member."""

    questions: Mapping[str, Question]
    jobs: Mapping[str, Job]
    outputs: Mapping[str, bytes | None]
    stories: Mapping[str, Story]
    executions: Sequence[Execution] = ()
    #: By member and number.
    told: Mapping[str, Mapping[int, Told]] = field(default_factory=dict)
    #: Deliveries that were given up.
    untold: frozenset[str] = frozenset()
    #: Members in the tenant's index.
    indexed: frozenset[str] = frozenset()
    #: Jobs that were deleted, and those of them of which anything is left.
    erased: frozenset[str] = frozenset()
    remaining: frozenset[str] = frozenset()
    #: What should be empty, and how much is in it.
    leftovers: Mapping[str, int] = field(default_factory=dict)
    #: What tenants had: as it was counted, and as the records that are there say.
    usage: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    #: Connections to Redis before and after.
    connections: tuple[int, int] = (0, 0)


def gather(
    cluster: Cluster,
    questions: Mapping[str, Question],
    *,
    receiver: Receiver | None = None,
    connections: tuple[int, int] = (0, 0),
    before: Collection[str] = (),
    erased: Collection[str] = (),
) -> Evidence:
    """Look everywhere; jobs that were there `before` are not asked for again."""
    redis, store = cluster.redis, cluster.store
    members = list(questions)
    jobs: dict[str, Job] = {}
    outputs: dict[str, bytes | None] = {}
    for first in range(0, len(members), _JOBS_A_CALL):
        some = members[first : first + _JOBS_A_CALL]
        records = redis.run_all(store.read(member) for member in some)
        jobs |= {member: job for member, job in zip(some, records, strict=True) if job is not None}
        outputs |= zip(some, redis.run_all(store.output(member) for member in some), strict=True)
    asked = {question.x for question in questions.values()}
    hooked = [member for member, question in questions.items() if question.hook]
    index = redis.run(RedisOp(list[bytes], ("ZRANGE", store.keys.index(TENANT), 0, -1)))
    return Evidence(
        questions=questions,
        jobs=jobs,
        outputs=outputs,
        stories=read_audit(cluster.server.folder, store.keys),
        executions=[execution for execution in read_executions(cluster.executions) if execution.x in asked],
        told=_told(receiver, set(hooked)) if receiver else {},
        untold=_untold(cluster, [jobs[member] for member in hooked if member in jobs]),
        indexed=frozenset(member.decode() for member in index) - frozenset(before),
        erased=frozenset(erased),
        remaining=_remaining(cluster, erased),
        leftovers=leftovers(cluster),
        usage=usage(cluster),
        connections=connections,
    )


def read_executions(file: Path) -> list[Execution]:
    """What the model noted."""
    if not file.exists():
        return []
    rows = (line.split() for line in file.read_text().splitlines())
    return [Execution(*map(int, row)) for row in rows]


def leftovers(cluster: Cluster) -> dict[str, int]:
    """How much is in what should be empty once all jobs have ended."""
    keys, client = cluster.store.keys, cluster.redis.client
    sets = (keys.leases, keys.delayed, keys.deadlines, keys.quarantine)
    sizes = {name.removeprefix(keys.prefix): client.zcard(name) for name in sets}
    for family in ("r:", "t:"):
        sizes[family] = sum(1 for _ in client.scan_iter(f"{keys.prefix}{family}*", count=1000))
    return sizes


def _remaining(cluster: Cluster, erased: Collection[str]) -> frozenset[str]:
    keys, client = cluster.store.keys, cluster.redis.client
    parts = (keys.job, keys.input, keys.output, keys.metadata, keys.hook)
    return frozenset(member for member in erased if client.exists(*(part(member) for part in parts)))


def usage(cluster: Cluster) -> dict[str, tuple[int, int]]:
    """Accepted jobs, ends by state, and microseconds of devices, of all jobs that there ever were."""
    redis, store, days = cluster.redis, cluster.store, UsageStore(cluster.store.keys)
    counted: Counter[str] = Counter()
    found, members = redis.run(days.days(0, 10**6)), redis.run(store.recent(TENANT, limit=10**9))
    for rows in redis.run_all(map(days.of, found)):
        for row in rows:
            counted.update(row.counts)
    said: Counter[str] = Counter()
    for job in redis.run_all(map(store.read, members)):
        if job is not None:
            said["accepted"] += 1
            said[job.status] += job.status.is_terminal
            said["gpu_us"] += round(1000 * (job.spent_ms or 0))
    return {name: (counted[name], said[name]) for name in ("accepted", *map(str, JobStatus), "gpu_us")}


def deliveries_of(job: Job) -> list[str]:
    """The events of a job that has ended, its end the last."""
    return [delivery_id_of(job.member, seq) for seq in range(1, job.next_seq + 1)]


def _told(receiver: Receiver, members: Collection[str]) -> dict[str, dict[int, Told]]:
    heard: dict[str, dict[int, list[Heard]]] = {}
    for attempt in list(receiver.heard):
        data = orjson.loads(attempt.body)["data"]
        member = f"{TENANT}/{data['job']['id']}" if "job" in data else ""
        if member in members:
            heard.setdefault(member, {}).setdefault(data["seq"], []).append(attempt)
    return {member: {seq: _heard(attempts) for seq, attempts in events.items()} for member, events in heard.items()}


def _heard(attempts: Sequence[Heard]) -> Told:
    event = orjson.loads(attempts[0].body)
    return Told(
        event["type"],
        tuple(sorted({attempt.headers["webhook-id"] for attempt in attempts})),
        round(1000 * datetime.fromisoformat(event["timestamp"]).timestamp()),
        min(int(attempt.headers["webhook-timestamp"]) for attempt in attempts),
        len({attempt.body for attempt in attempts}),
    )


def _untold(cluster: Cluster, jobs: Sequence[Job]) -> frozenset[str]:
    ids = [delivery_id for job in jobs for delivery_id in deliveries_of(job)]
    if not ids:
        return frozenset()
    deliveries = cluster.redis.run(DeliveryStore(cluster.store.keys).read(ids))
    return frozenset(delivery.id for delivery in deliveries if delivery.state is DeliveryState.FAILED)
