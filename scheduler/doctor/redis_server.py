"""The server that keeps the jobs: version, persistence, eviction, memory, mode. Judged from INFO and CONFIG GET."""

from collections.abc import Iterator, Mapping

import redis

from headrace.jobs import FIELDS, MAX_VALUE_BYTES
from headrace.redis_op import RedisOp, Reply
from headrace.sync_redis import SyncRedis
from scheduler.doctor.finding import Finding, fail, ok, warn
from scheduler.doctor.redis_versions import judge_version

_OPTIONS = ("appendfsync", "hash-max-listpack-value", "hash-max-listpack-entries")
#: Share of the memory beyond which somebody should know.
_FULL = 0.8


def look_at_redis(connection: SyncRedis) -> list[Finding]:
    """Ask the server and judge what it says.

    Raises:
        RedisUnavailable: if it does not answer.
    """
    info = connection.run(RedisOp(_facts, ("INFO", "everything")))
    try:
        config = connection.run(RedisOp(_pairs, ("CONFIG", "GET", *_OPTIONS)))
    except redis.ResponseError:
        config = {}
    return list(judge_server(info, config))


def judge_server(info: Mapping[str, str], config: Mapping[str, str]) -> Iterator[Finding]:
    """What is to be said of a server; `config` is empty if it may not be read."""
    valkey = info.get("valkey_version")
    yield from judge_version("valkey" if valkey else "redis", valkey or info.get("redis_version", "?"))
    yield _mode(info)
    yield _persistence(info, config)
    yield _eviction(info)
    yield _memory(info)
    yield _records(config)


def _mode(info: Mapping[str, str]) -> Finding:
    if info.get("cluster_enabled") == "1":
        return fail(
            "redis mode", "cluster mode", "use a single primary (with replicas, if you like): scripts span keys"
        )
    if info.get("role") != "master":
        return fail("redis mode", f"role {info.get('role', '?')}", "connect to the primary: a replica cannot write")
    return ok("redis mode", "single primary")


def _persistence(info: Mapping[str, str], config: Mapping[str, str]) -> Finding:
    name, fsync = "redis persistence", config.get("appendfsync", "?")
    if info.get("aof_enabled") != "1":
        return fail(name, "appendonly no", "set appendonly yes: a restart would lose accepted jobs")
    if info.get("aof_last_write_status", "ok") != "ok" or info.get("aof_last_bgrewrite_status", "ok") != "ok":
        return fail(name, "the append-only file cannot be written", "look at the disk and the log of Redis")
    if fsync == "no":
        return warn(
            name, "appendfsync no", "set appendfsync everysec: a power cut loses what the kernel has not written"
        )
    return ok(name, f"appendonly yes, appendfsync {fsync}")


def _eviction(info: Mapping[str, str]) -> Finding:
    policy = info.get("maxmemory_policy", "?")
    if policy == "noeviction":
        return ok("redis eviction", policy)
    advice = "set maxmemory-policy noeviction: when memory is short, Redis would drop accepted jobs"
    return fail("redis eviction", policy, advice)


def _memory(info: Mapping[str, str]) -> Finding:
    used, limit = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if not limit:
        advice = "set maxmemory (CONFIG SET maxmemory 4gb) below what the host can spare, or the kernel may kill Redis"
        return warn("redis memory", f"{used / 1e6:.0f} MB used, no limit", advice)
    detail = f"{used / 1e6:.0f} of {limit / 1e6:.0f} MB used"
    if used > _FULL * limit:
        return warn("redis memory", detail, "raise maxmemory, or lower result_ttl_s or queue_cap")
    return ok("redis memory", detail)


def _records(config: Mapping[str, str]) -> Finding:
    """A record that leaves its compact form takes several times the memory."""
    if not config:
        return warn(
            "redis settings", "CONFIG GET is not allowed", "check appendfsync and hash-max-listpack-value there"
        )
    value, entries = int(config.get("hash-max-listpack-value", 64)), int(config.get("hash-max-listpack-entries", 128))
    if value < MAX_VALUE_BYTES or entries < len(FIELDS):
        advice = f"set hash-max-listpack-value {MAX_VALUE_BYTES} and -entries 128, or records take far more memory"
        return warn("redis settings", f"hash-max-listpack-value {value}, -entries {entries}", advice)
    return ok("redis settings", "records stay compact")


def _facts(reply: Reply) -> dict[str, str]:
    lines = (line.partition(":") for line in reply.decode(errors="replace").splitlines())
    return {name: value for name, _, value in lines if value}


def _pairs(reply: Reply) -> dict[str, str]:
    return {reply[i].decode(): reply[i + 1].decode() for i in range(0, len(reply), 2)}
