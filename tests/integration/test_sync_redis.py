"""Many operations in one write, over the connection that tools, threads and the scheduler use."""

import pytest
import redis

from headrace.errors import RedisUnavailable
from headrace.keys import Keys
from headrace.redis_op import RedisOp, Reply, Script
from headrace.sync_redis import SyncRedis
from scheduler.embedded_server import free_port


def test_many_operations_are_carried_out_in_order(connection: SyncRedis, keys: Keys) -> None:
    answers = connection.run_all([_push(keys, "a"), _push_by_script(keys, "b"), _push(keys, "c")])

    assert [1, 2, 3] == answers
    assert [b"a", b"b", b"c"] == connection.run(_pushed(keys))


def test_a_script_that_the_server_has_lost_is_sent_anew(connection: SyncRedis, keys: Keys) -> None:
    connection.run_all([_push_by_script(keys, "a")])
    connection.client.script_flush()

    answers = connection.run_all([_push_by_script(keys, "b"), _push_by_script(keys, "c")])

    assert [2, 3] == answers
    assert [b"a", b"b", b"c"] == connection.run(_pushed(keys))


def test_what_the_server_refuses_is_told_and_the_others_are_carried_out(connection: SyncRedis, keys: Keys) -> None:
    refused = RedisOp(_as_is, ("INCR", _key(keys)))

    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        connection.run_all([_push(keys, "a"), refused, _push(keys, "b")])

    assert [b"a", b"b"] == connection.run(_pushed(keys))


def test_a_wait_that_leaves_with_what_ends_it_is_answered(connection: SyncRedis, keys: Keys) -> None:
    ring = RedisOp(_as_is, ("XADD", _key(keys), "1-1", "r", "1"))
    wait = RedisOp(_as_is, ("XREAD", "BLOCK", 10_000, "STREAMS", _key(keys), "0"))

    answers = connection.run_all([ring, wait])

    assert [b"1-1", [[_key(keys).encode(), [[b"1-1", [b"r", b"1"]]]]]] == answers


def test_without_a_server_many_operations_are_unavailable_too() -> None:
    nowhere = SyncRedis(url=f"redis://127.0.0.1:{free_port()}", timeout_s=0.5)

    with pytest.raises(RedisUnavailable, match="Redis does not answer"):
        nowhere.run_all([RedisOp(_as_is, ("PING",))])


_SCRIPT = Script("push", "#!lua\nreturn redis.call('RPUSH', KEYS[1], ARGV[1])")


def _key(keys: Keys) -> str:
    return keys.events


def _push(keys: Keys, word: str) -> RedisOp[Reply]:
    return RedisOp(_as_is, ("RPUSH", _key(keys), word))


def _push_by_script(keys: Keys, word: str) -> RedisOp[Reply]:
    return RedisOp(_as_is, (_key(keys), word), _SCRIPT)


def _pushed(keys: Keys) -> RedisOp[Reply]:
    return RedisOp(_as_is, ("LRANGE", _key(keys), 0, -1))


def _as_is(reply: Reply) -> Reply:
    return reply
