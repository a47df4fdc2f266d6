"""One attempt at a time, against receivers that misbehave: each ends in one word, and no trap is ever connected to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bench.listeners import listening, saying
from headrace.addresses import LOOPBACK, Egress
from scheduler.embedded_server import free_port
from workers.webhooks.messenger import Messenger
from workers.webhooks.schedule import Answer

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
ALLOWED = Egress(networks=LOOPBACK)


@asynccontextmanager
async def messenger(*, egress: Egress = ALLOWED, timeout_s: float = 5.0, **more: Any) -> AsyncIterator[Messenger]:
    messenger = Messenger(egress=egress, timeout_s=timeout_s, connections=4, **more)
    try:
        yield messenger
    finally:
        await messenger.close()


async def post(url: str, **terms: Any) -> Answer:
    async with messenger(**terms) as sender:
        return await sender.post(url, {"content-type": "application/json"}, b"{}")


def resolving(answers: dict[str, list[str]], asked: list[str]) -> Callable[[str, int], Any]:
    async def resolve(host: str, _: int) -> list[str]:
        asked.append(host)
        return answers[host]

    return resolve


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (NO_CONTENT, Answer("http_204", 204)),
        (b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", Answer("http_500", 500)),
        (b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n", Answer("http_410", 410)),
        (b"HTTP/1.1 429 Later\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n", Answer("http_429", 429, 7.0)),
        (b"", Answer("protocol_error")),
        (b"220 mail.example.com ESMTP\r\n", Answer("protocol_error")),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", Answer("protocol_error")),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nbomb", Answer("http_200", 200)),
    ],
    ids=["204", "500", "410", "429", "nothing", "mail", "half", "gzip"],
)
async def test_each_answer_has_its_word(said: bytes, expected: Answer) -> None:
    async with listening(saying(said)) as receiver:
        assert expected == await post(receiver.url)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    async with listening(saying(NO_CONTENT)) as trap:
        moved = f"HTTP/1.1 {status} Moved\r\nlocation: {trap.url}\r\ncontent-length: 0\r\n\r\n".encode()
        async with listening(saying(moved)) as receiver:
            answer = await post(receiver.url)

    assert answer == Answer("redirect_not_followed", status)
    assert trap.connections == 0


@pytest.mark.parametrize(
    "behaviour",
    [
        lambda _reader, _writer: asyncio.sleep(60),
        lambda _reader, writer: drip(writer),
    ],
    ids=["hangs", "drips"],
)
async def test_the_whole_attempt_has_one_limit(behaviour: Any) -> None:
    async with listening(behaviour) as receiver:
        assert await post(receiver.url, timeout_s=0.3) == Answer("timeout")


async def drip(writer: asyncio.StreamWriter) -> None:
    """An answer whose end never comes, a byte at a time: each read is quick."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def test_of_an_endless_answer_little_is_read() -> None:
    sent = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while sent < 1 << 28:
            writer.write(b"x" * 65_536)
            await writer.drain()
            sent += 65_536

    async with listening(pour) as receiver:
        assert await post(receiver.url) == Answer("http_200", 200)

    assert sent < 1 << 25


async def test_nobody_there_is_unreachable() -> None:
    assert await post(f"http://127.0.0.1:{free_port()}/") == Answer("unreachable")


async def test_what_speaks_no_tls_is_not_trusted_to() -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(NO_CONTENT)
        await writer.drain()

    async with listening(talk) as receiver:
        answer = await post(receiver.url.replace("http://", "https://"))

    assert answer == Answer("tls_failed")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "2130706433", "rebound.example.com"])
async def test_loopback_is_not_connected_to_unless_it_is_allowed(host: str) -> None:
    asked: list[str] = []
    names = resolving({"localhost": ["127.0.0.1"], "rebound.example.com": ["127.0.0.1"]}, asked)

    async with listening(saying(NO_CONTENT)) as trap:
        answer = await post(f"https://{host}:{trap.port}/", egress=Egress(), resolver=names)

    assert answer.outcome in {"address_refused", "url_refused"}
    assert trap.connections == 0


async def test_one_bad_address_among_good_ones_is_enough() -> None:
    names = resolving({"mixed.example.com": ["8.8.8.8", "::ffff:10.0.0.1"]}, [])

    answer = await post("https://mixed.example.com/", egress=Egress(), resolver=names)

    assert answer == Answer("address_refused")


async def test_plain_http_never_goes_to_a_public_address() -> None:
    names = resolving({"public.example.com": ["8.8.8.8"]}, [])

    assert await post("http://public.example.com/", resolver=names) == Answer("address_refused")


async def test_a_name_is_resolved_once_for_a_connection_and_goes_into_the_request() -> None:
    asked: list[str] = []
    heads: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(NO_CONTENT)
        await writer.drain()

    async with listening(note) as receiver:
        url = f"http://receiver.example.com:{receiver.port}/hook?a=b"
        answer = await post(url, resolver=resolving({"receiver.example.com": ["127.0.0.1"]}, asked))

    assert answer == Answer("http_204", 204)
    assert asked == ["receiver.example.com"]
    assert heads[0].startswith(b"POST /hook?a=b HTTP/1.1\r\n")
    assert f"Host: receiver.example.com:{receiver.port}\r\n".encode() in heads[0]


async def test_a_name_that_changes_its_meaning_is_refused_when_it_does() -> None:
    meanings = iter([["127.0.0.1"], ["169.254.169.254"]])

    async def flip(_host: str, _port: int) -> list[str]:
        return next(meanings)

    async with listening(saying(NO_CONTENT)) as receiver, messenger(resolver=flip) as sender:
        url = f"http://flips.example.com:{receiver.port}/"
        answers = [await sender.post(url, {}, b"{}") for _ in range(2)]

    assert [answer.outcome for answer in answers] == ["http_204", "address_refused"]


async def test_a_name_without_an_address_is_said_to_have_none() -> None:
    assert await post("https://does-not-exist.invalid/", egress=Egress()) == Answer("name_not_resolved")


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    names = resolving({"two.example.com": ["127.0.0.99", "127.0.0.1"]}, [])

    async with listening(saying(NO_CONTENT)) as receiver:
        answer = await post(f"http://two.example.com:{receiver.port}/", resolver=names)

    assert answer == Answer("http_204", 204)


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening(saying(NO_CONTENT)) as proxy, listening(saying(NO_CONTENT)) as receiver:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        answer = await post(receiver.url)

    assert answer == Answer("http_204", 204)
    assert proxy.connections == 0
