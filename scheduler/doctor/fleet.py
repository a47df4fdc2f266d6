"""Who works and who leads, as they say themselves, and what they were told to leave alone."""

from collections.abc import Mapping

from headrace.keys import Keys
from headrace.presence import parse_presences
from headrace.queue_store import Pause, QueueStore
from headrace.redis_op import RedisOp, Reply
from headrace.sync_redis import SyncRedis
from scheduler.doctor.finding import Finding, ok, warn


def look_at_fleet(connection: SyncRedis, keys: Keys) -> list[Finding]:
    """Ask Redis.

    Raises:
        RedisUnavailable: if the server does not answer.
    """
    run = connection.run
    leader = run(RedisOp(_text, ("GET", keys.leader)))
    names = run(RedisOp(_texts, ("ZRANGE", keys.workers, 0, -1)))
    workers = run(RedisOp(parse_presences, ("MGET", *map(keys.worker, names)))) if names else []
    paused = run(QueueStore(keys).paused())
    classes = sorted({worker.worker_class for worker in workers})
    return [_leader(leader), _workers(len(workers), classes), _queues(paused)]


def _leader(leader: str) -> Finding:
    if leader:
        return ok("scheduler", f"{leader.partition('#')[0]} leads")
    return warn(
        "scheduler", "none leads", "start `headrace up` or `python -m scheduler`: nobody rescues jobs meanwhile"
    )


def _workers(count: int, classes: list[str]) -> Finding:
    if count:
        return ok("workers", f"{count} alive, of {', '.join(classes)}")
    return warn("workers", "none is alive", "start `headrace up` or `python -m workers`, unless jobs are to wait")


def _queues(paused: Mapping[str, Pause]) -> Finding:
    if not paused:
        return ok("queues", "none is paused")
    names = "; ".join(f"{queue} is {pause.explanation}" for queue, pause in sorted(paused.items()))
    return warn("queues", names, "`headrace queues resume NAME` lets one go on, if that was forgotten")


def _text(reply: Reply) -> str:
    return reply.decode() if reply else ""


def _texts(reply: Reply) -> list[str]:
    return [text.decode() for text in reply]
