"""The API's connection to Redis, against a real server and against sockets that misbehave."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis

from headrace.errors import RedisUnavailable, SettingsError
from headrace.mux import Mux
from headrace.redis_address import RedisAddress
from headrace.redis_op import RedisOp, Reply, Script
from scheduler.embedded_server import EmbeddedServer, free_port


def echo(text: str) -> RedisOp[bytes]:
    return RedisOp(bytes, ("ECHO", text))


def anything(*args: str | int) -> RedisOp[Reply]:
    return RedisOp(lambda reply: reply, args)


async def eventually_connected(mux: Mux) -> None:
    async with asyncio.timeout(10):
        while not mux.is_connected:  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0.01)


@pytest.fixture
async def mux(redis_url: str) -> AsyncIterator[Mux]:
    mux = Mux(url=redis_url)
    await mux.start()
    yield mux
    await mux.close()


async def test_each_of_many_calls_under_way_gets_its_own_answer(mux: Mux) -> None:
    answers = await asyncio.gather(*(mux.run(echo(str(i))) for i in range(1000)))

    assert [str(i).encode() for i in range(1000)] == answers


@pytest.mark.parametrize(("calls", "expected"), [(1, [1]), (7, [7]), (20, [8, 8, 4])])
async def test_calls_of_one_loop_turn_leave_in_few_writes_but_do_not_wait_for_many(
    mux: Mux, calls: int, expected: list[int]
) -> None:
    assert mux._pipe is not None
    transport = mux._pipe._transport
    writes: list[bytes] = []

    class Recorder:
        def write(self, data: bytes) -> None:
            writes.append(data)
            assert transport is not None
            transport.write(data)

    mux._pipe._transport = Recorder()  # type: ignore[assignment]  # stands in front of the real one
    await asyncio.gather(*(mux.run(echo(str(i))) for i in range(calls)))
    mux._pipe._transport = transport

    assert expected == [write.count(b"ECHO") for write in writes]


async def test_a_script_the_server_does_not_know_is_sent_whole(mux: Mux) -> None:
    await mux.run(anything("SCRIPT", "FLUSH"))
    op = RedisOp(bytes, ("a-key", "word"), Script("echo", "#!lua\nreturn ARGV[1]"))

    assert await mux.run(op) == b"word"
    assert await mux.run(op) == b"word"


async def test_a_refused_command_raises_without_hurting_its_neighbours(mux: Mux) -> None:
    refused, answered = await asyncio.gather(
        mux.run(anything("NOSUCHCOMMAND")), mux.run(echo("fine")), return_exceptions=True
    )

    assert isinstance(refused, redis.ResponseError)
    assert answered == b"fine"


async def test_a_caller_that_gives_up_does_not_shift_the_answers_of_others(mux: Mux) -> None:
    given_up = asyncio.create_task(mux.run(echo("first")))
    await asyncio.sleep(0)
    given_up.cancel()

    assert await mux.run(echo("second")) == b"second"


async def test_more_calls_than_may_wait_are_refused(redis_url: str) -> None:
    mux = Mux(url=redis_url, max_waiting=3)
    await mux.start()

    answers = await asyncio.gather(*(mux.run(echo("x")) for _ in range(5)), return_exceptions=True)
    await mux.close()

    assert answers[:3] == [b"x"] * 3
    assert [RedisUnavailable] * 2 == [type(answer) for answer in answers[3:]]


async def test_an_unreachable_server_is_said_at_once() -> None:
    port = free_port()
    mux = Mux(url=f"redis://127.0.0.1:{port}/0")
    await mux.start()

    with pytest.raises(RedisUnavailable, match=f"127.0.0.1:{port}"):
        await mux.run(echo("x"))
    await mux.close()


async def test_a_server_that_never_answers_is_given_up_after_the_timeout() -> None:
    async def answer_the_greeting_only(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"PING\r\n")
        writer.write(b"+PONG\r\n")
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(answer_the_greeting_only, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    mux = Mux(url=f"redis://127.0.0.1:{port}/0", timeout_s=0.1)
    await mux.start()

    with pytest.raises(RedisUnavailable):
        await mux.run(echo("x"))
    await mux.close()
    silent.close()
    await silent.wait_closed()


@pytest.mark.slow
async def test_calls_under_way_fail_when_the_server_dies_and_later_ones_succeed_after_its_return(
    tmp_path: Path,
) -> None:
    server = EmbeddedServer(folder=tmp_path, port=free_port())
    server.start()
    mux = Mux(url=server.url, timeout_s=5)
    await mux.start()
    blocked = asyncio.create_task(mux.run(anything("BLPOP", "never", 0)))
    await asyncio.sleep(0.05)

    server.kill()
    with pytest.raises(RedisUnavailable):
        await blocked
    server.start()
    await eventually_connected(mux)

    assert await mux.run(echo("again")) == b"again"
    await mux.close()
    server.stop()


@pytest.mark.slow
async def test_password_database_and_unix_socket_come_from_the_url(tmp_path: Path) -> None:
    socket = tmp_path / "r.sock"
    options = {"requirepass": "sesame", "unixsocket": str(socket), "unixsocketperm": "700"}
    port = free_port()
    server = EmbeddedServer(folder=tmp_path, port=port, options=options)
    # The server's own readiness check knows no password and takes the refusal for silence.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scheduler.embedded_server.answers", lambda _: socket.exists())
        server.start()

    for url in (f"redis://:sesame@127.0.0.1:{port}/3", f"unix://:sesame@{socket}?db=3"):
        mux = Mux(url=url)
        await mux.start()
        assert "db=3" in (await mux.run(anything("CLIENT", "INFO"))).decode()
        await mux.close()
    server.stop()


async def test_a_wrong_password_leaves_it_unconnected_and_says_so(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    mux = Mux(url=redis_url.replace("redis://", "redis://nobody:wrong@"))
    await mux.start()

    with pytest.raises(RedisUnavailable):
        await mux.run(echo("x"))
    await mux.close()
    assert "WRONGPASS" in caplog.text


@pytest.mark.parametrize("url", ["http://127.0.0.1", "redis:/x:y", ""])
def test_a_url_that_is_none_of_redis_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="Redis URL"):
        RedisAddress.parse(url)


def test_tls_is_on_and_verifies_for_rediss() -> None:
    address = RedisAddress.parse("rediss://example.org/2")

    assert address.tls is not None
    assert address.tls.check_hostname
    assert ("SELECT", 2) in address.greeting


async def test_a_full_server_means_unavailable_not_a_bug(mux: Mux) -> None:
    script = Script("full", "#!lua\nreturn redis.error_reply('OOM no memory left')")

    with pytest.raises(RedisUnavailable, match="OOM"):
        await mux.run(RedisOp(bytes, ("k",), script))
