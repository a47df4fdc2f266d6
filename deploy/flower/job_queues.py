"""JobQueues: what waits and what is held in each queue of jobs, in the words of Flower's Broker page."""

from collections.abc import Sequence
from typing import TypedDict

from headrace.groups import split_group
from headrace.keys import Keys
from headrace.presence import ModelState, WorkerPresence, WorkerState
from headrace.redis_op import RedisOp, Reply
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from headrace.tiers import Tier
from workers.app import COURIER_QUEUE

_TIMEOUT_S = 2.0


class QueueRow(TypedDict, total=False):
    """One row of the page and of `/api/queues/length`; the keys are those of RabbitMQ, which Flower took over."""

    name: str
    #: Waiting and held.
    messages: int
    messages_ready: int
    #: Held by workers.
    messages_unacknowledged: int
    #: Workers that are ready to run them.
    consumers: int


class JobQueues:
    """Reads the queues of one cell; blocking, so from a thread.

    Args:
        url: of Redis.
        cell: whose queues.
    """

    def __init__(self, *, url: str, cell: str) -> None:
        self._url = url
        self._keys = Keys(cell=cell)
        self._store = JobStore(self._keys)

    def read(self, plain: Sequence[str]) -> list[QueueRow]:
        """The plain Celery queues of these names, and every queue that holds jobs or could get some now.

        Raises:
            RedisUnavailable: if Redis does not answer.
        """
        connection = SyncRedis(url=self._url, timeout_s=_TIMEOUT_S)
        try:
            return self._plain(connection, plain) + self._of_jobs(connection)
        finally:
            connection.close()

    def _plain(self, connection: SyncRedis, names: Sequence[str]) -> list[QueueRow]:
        lengths = connection.run_all([self._length(name) for name in names])
        return [QueueRow(name=name, messages=length) for name, length in zip(names, lengths, strict=True)]

    def _length(self, name: str) -> RedisOp[int]:
        # The couriers' list is always empty; what waits for them is in the outbox.
        return RedisOp(int, ("ZCARD", self._keys.outbox) if name == COURIER_QUEUE else ("LLEN", name))

    def _of_jobs(self, connection: SyncRedis) -> list[QueueRow]:
        workers = self._workers(connection)
        known = connection.run(self._store.groups())
        groups = sorted({*known, *(group for worker in workers for group in _groups_of(worker))})
        depths = connection.run(self._store.depths(groups)) if groups else []
        rows = [_row(queue.group, queue.depth, workers) for queue in depths]
        return [row for row in rows if row["messages"] or row["name"] not in known or row["consumers"]]

    def _workers(self, connection: SyncRedis) -> list[WorkerPresence]:
        names = connection.run(RedisOp(_texts, ("ZRANGE", self._keys.workers, 0, -1)))
        if not names:
            return []
        return connection.run(RedisOp(_presences, ("MGET", *(self._keys.worker(name) for name in names))))


def _groups_of(worker: WorkerPresence) -> list[str]:
    """The queues of every model that a worker has, of all tiers: those that it does not serve may be starving."""
    return [f"{ref}:{tier}" for ref in worker.models for tier in Tier]


def _row(group: str, ready: int, workers: Sequence[WorkerPresence]) -> QueueRow:
    held = sum(worker.groups[group].held for worker in workers if group in worker.groups)
    return QueueRow(
        name=group,
        messages=ready + held,
        messages_ready=ready,
        messages_unacknowledged=held,
        consumers=sum(_serves(worker, group) for worker in workers),
    )


def _serves(worker: WorkerPresence, group: str) -> bool:
    ref, tier = split_group(group)
    model = worker.models.get(str(ref))
    is_ready = model is not None and model.state is ModelState.READY
    return is_ready and tier in worker.tiers and worker.state is WorkerState.READY


def _texts(reply: Reply) -> list[str]:
    return [text.decode() for text in reply]


def _presences(reply: Reply) -> list[WorkerPresence]:
    return [presence for raw in reply if raw is not None and (presence := _presence(raw)) is not None]


def _presence(raw: bytes) -> WorkerPresence | None:
    try:
        return WorkerPresence.from_bytes(raw)
    except ValueError:
        # A worker of another version; its jobs are counted as waiting or not at all.
        return None
