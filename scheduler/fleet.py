"""Fleet: what all processes together are doing, read from Redis for whoever scrapes the scheduler. Changes nothing."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from headrace.groups import is_group
from headrace.presence import WorkerPresence, parse_presences
from headrace.queue_store import QueueStore
from headrace.redis_op import RedisOp, Reply
from headrace.replies import read_texts
from headrace.store import JobStore
from headrace.store_views import QueueCounts, QueueDepth
from headrace.sync_redis import SyncRedis

#: Queues that are shown, those with the newest jobs: each is a label value of a dozen metrics.
MOST_QUEUES = 300


class Memory(NamedTuple):
    """Of Redis, in bytes."""

    used: int
    #: 0 if there is none.
    limit: int


class Fleet(NamedTuple):
    """Everything at one moment."""

    depths: list[QueueDepth]
    #: Queues (`name@version:tier`) from which nobody claims.
    paused: frozenset[str]
    #: By group.
    counts: Mapping[str, QueueCounts]
    workers: Sequence[WorkerPresence]
    #: By worker class.
    desired: Mapping[str, int]
    #: Counters of `stats` by name.
    stats: Mapping[str, int]
    #: How many entries `leases`, `delayed`, `quarantine` and `outbox` have.
    sizes: Mapping[str, int]
    #: Milliseconds since the first delivery became due; 0 if none is.
    overdue_ms: int
    memory: Memory


def read_fleet(store: JobStore, connection: SyncRedis) -> Fleet:
    """Look.

    Raises:
        RedisUnavailable: if the server does not answer.
    """
    keys, run = store.keys, connection.run
    found = run(RedisOp(read_texts, ("ZREVRANGE", keys.groups, 0, MOST_QUEUES - 1)))
    groups = [group for group in found if is_group(group)]
    names = run(RedisOp(read_texts, ("ZRANGE", keys.workers, 0, -1)))
    sets = {name: getattr(keys, name) for name in ("leases", "delayed", "quarantine", "outbox")}
    sizes = connection.run_all([RedisOp(int, ("ZCARD", key)) for key in sets.values()])
    now_ms = run(RedisOp(lambda reply: int(reply[0]) * 1000, ("TIME",)))
    first_due = run(RedisOp(_first_score, ("ZRANGE", keys.outbox, 0, 0, "WITHSCORES")))
    pauses = run(QueueStore(keys).paused())
    return Fleet(
        depths=run(store.depths(groups)) if groups else [],
        paused=frozenset(pauses),
        counts=dict(zip(groups, connection.run_all(map(store.counts, groups)), strict=True)) if groups else {},
        workers=run(RedisOp(parse_presences, ("MGET", *map(keys.worker, names)))) if names else [],
        desired=run(RedisOp(_numbers, ("HGETALL", keys.desired))),
        stats=run(RedisOp(_numbers, ("HGETALL", keys.stats))),
        sizes=dict(zip(sets, sizes, strict=True)),
        overdue_ms=max(0, now_ms - first_due) if first_due else 0,
        memory=run(RedisOp(_memory, ("INFO", "memory"))),
    )


def _numbers(reply: Reply) -> dict[str, int]:
    pairs = ((reply[i].decode(errors="replace"), reply[i + 1]) for i in range(0, len(reply), 2))
    return {name: int(value) for name, value in pairs if value.lstrip(b"-").isdigit()}


def _first_score(reply: Reply) -> int:
    return int(float(reply[1])) if reply else 0


def _memory(reply: Reply) -> Memory:
    facts = dict(line.split(":", 1) for line in reply.decode().splitlines() if ":" in line)
    return Memory(int(facts["used_memory"]), int(facts.get("maxmemory", 0)))
