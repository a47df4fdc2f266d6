"""A Redis connection on the event loop."""

import itertools
from collections.abc import Callable, Iterator

import pytest

from headrace.redis_op import RedisOp, Reply, Script
from headrace.sync_redis import SyncRedis
from workers.loop import SelectorLoop
from workers.wire import Wire


class Rig:
    """A wire with what it said."""

    def __init__(self, url: str) -> None:
        self.loop = SelectorLoop()
        self.losses: list[Exception] = []
        self.replies: list[Reply] = []
        self.errors: list[Exception] = []
        self.wire = Wire(url=url, on_lost=self.losses.append)
        self.wire.attach(self.loop)
        self.wire.connect()

    def send(self, *args: str | bytes | int, script: Script | None = None) -> None:
        op: RedisOp[Reply] = RedisOp(lambda reply: reply, args, script)
        self.wire.send(op, self.replies.append, self.errors.append)

    def run_until(self, done: Callable[[], bool]) -> None:
        assert self.loop.run_until(done, limit_s=10.0)


@pytest.fixture
def rig(redis_url: str) -> Iterator[Rig]:
    rig = Rig(redis_url)
    yield rig
    rig.wire.close()
    rig.loop.close()


def test_replies_come_in_the_order_of_the_commands(rig: Rig) -> None:
    for number in range(100):
        rig.send("ECHO", number)

    rig.run_until(lambda: len(rig.replies) == 100)

    assert [str(number).encode() for number in range(100)] == rig.replies


def test_a_value_larger_than_any_socket_buffer_goes_both_ways(rig: Rig) -> None:
    value = bytes(itertools.islice(itertools.cycle(range(256)), 20_000_000))
    rig.send("ECHO", value)

    rig.run_until(lambda: bool(rig.replies))

    assert value == rig.replies[0]


def test_a_refused_command_is_an_error_and_the_next_is_answered(rig: Rig) -> None:
    rig.send("NOSUCHCOMMAND")
    rig.send("PING")

    rig.run_until(lambda: bool(rig.replies))

    assert len(rig.errors) == 1
    assert rig.replies == [b"PONG"]


def test_a_script_that_the_server_does_not_know_is_sent_whole(rig: Rig, connection: SyncRedis) -> None:
    connection.client.script_flush()

    rig.send("key", script=Script("test", "return 'ran'"))
    rig.run_until(lambda: bool(rig.replies))

    assert rig.replies == [b"ran"]


def test_a_lost_connection_is_told_once_and_can_be_opened_again(rig: Rig, connection: SyncRedis) -> None:
    rig.send("CLIENT", "ID")
    rig.run_until(lambda: bool(rig.replies))

    connection.client.client_kill_filter(_id=rig.replies[0])
    rig.run_until(lambda: bool(rig.losses))

    assert len(rig.losses) == 1
    assert not rig.wire.is_open
    rig.wire.connect()
    rig.send("PING")
    rig.run_until(lambda: len(rig.replies) == 2)


def test_a_peer_that_stays_silent_is_given_up(rig: Rig) -> None:
    rig.send("BLPOP", "nobody-writes-here", 0)

    rig.wire.check(limit_s=60.0)
    assert rig.wire.is_open
    rig.wire.check(limit_s=0.0)

    assert isinstance(rig.losses[0], TimeoutError)


def test_a_callback_that_raises_does_not_end_the_loop(rig: Rig) -> None:
    def explode(_: Reply) -> None:
        raise ConnectionError("not Redis's")

    rig.wire.send(RedisOp(lambda reply: reply, ("PING",)), explode, rig.errors.append)
    rig.send("PING")
    rig.run_until(lambda: bool(rig.replies))

    assert rig.wire.is_open
    assert rig.losses == []
