"""Wishes: what the scheduler wants and what workers say, as whoever owns the workers reads them from Redis."""

import logging
from collections.abc import Mapping, Sequence

import redis

from headrace.errors import RedisUnavailable
from headrace.keys import Keys
from headrace.presence import WorkerPresence, WorkerState, parse_presences
from headrace.redis_op import RedisOp
from headrace.replies import read_numbers, read_texts
from headrace.sync_redis import SyncRedis
from scheduler.reconciler import Seen

log = logging.getLogger("headrace.workers")


class Wishes:
    """Read again and again; without an answer, what was known before stands.

    Args:
        keys: of the cell.
        connection: to its Redis.
    """

    def __init__(self, *, keys: Keys, connection: SyncRedis) -> None:
        self._keys = keys
        self._connection = connection
        #: How many workers of each class there should be; empty while no scheduler has said so.
        self.desired: Mapping[str, int] = {}
        self.seen = Seen()

    def look(self) -> None:
        """Read."""
        run, keys = self._connection.run, self._keys
        try:
            desired = run(RedisOp(read_numbers, ("HGETALL", keys.desired)))
            names = run(RedisOp(read_texts, ("ZRANGE", keys.workers, 0, -1)))
            workers = run(RedisOp(parse_presences, ("MGET", *map(keys.worker, names)))) if names else []
        except (RedisUnavailable, redis.RedisError) as error:
            log.debug("what is wanted of workers cannot be read: %s", error)
            return
        self.desired, self.seen = desired, _seen(workers)


def _seen(workers: Sequence[WorkerPresence]) -> Seen:
    return Seen(
        busy=frozenset(worker.node for worker in workers if worker.jobs_held),
        leaving=frozenset(worker.node for worker in workers if worker.state is WorkerState.DRAINING),
    )
