"""Celery's transport as workers use it: keys of another type are set right, whoever meets them first."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kombu import Connection

from headrace.keys import Keys
from headrace.settings import Settings
from headrace.sync_redis import SyncRedis
from workers.app import make_app


@pytest.fixture
def broker(redis_url: str, keys: Keys) -> Iterator[Connection]:
    """A connection of a worker's application, with a queue of its own."""
    with make_app(Settings(redis_url=redis_url, cell=keys.cell)) as app, app.connection() as broker:
        yield broker


@pytest.mark.parametrize("settle", [lambda message: message.ack(), lambda message: message.reject()])
@pytest.mark.parametrize("key", ["unacked", "unacked_index"])
def test_a_message_is_settled_though_the_record_of_it_is_none_of_ours(
    broker: Connection, connection: SyncRedis, keys: Keys, key: str, settle: Callable[[Any], None]
) -> None:
    queue = broker.SimpleQueue(f"queue-{keys.cell}")
    queue.put({"x": 1})
    message = queue.get(timeout=10)
    connection.client.delete(key)
    connection.client.set(key, "not ours")

    settle(message)

    assert connection.client.type(key) == b"none"
    assert connection.client.hget(keys.stats, "strays") == b"1"
    queue.close()
