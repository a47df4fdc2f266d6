"""Garbage: what somebody might push by hand into any of our keys and into Celery's queues."""

import base64
import inspect
import json
import pickle
import random
import time
from collections.abc import Iterator
from typing import Any

from headrace.dedupe import Scope
from headrace.keys import Keys

_random = random.Random(1)

LARGE = _random.randbytes(1 << 20) * 10

_PIECES: list[bytes] = [
    *(
        b"",
        b"\x00",
        b"\xff",
        b"\xfe\xff",
        b" ",
        b"\n",
        b"/",
        b"#",
        b":",
        b"|",
        b"0",
        b"-1",
        b"nan",
        b"1e999",
        b"9" * 400,
    ),
    *(
        b"null",
        b"true",
        b"[]",
        b"{}",
        b'""',
        b'"',
        b"{",
        b"[" * 5_000,
        b'{"a":' * 500,
        b"\xc3\x28",
        "\U0001d54f\u202e\u0000".encode(),
    ),
    *(b"default/", b"/x", b"default/x", b"default/x#", b"default/x#1", b"default/x#99999999999999999999", b"a/b/c#1#2"),
    *(b"default/x:1", b"no-version:standard", b"m@1:standard", b"m@1:noble", b"m@-1:spot", b"@:", b"../../etc/passwd"),
    *(b"*", b"hr:c1:leases", b"'; return redis.call('FLUSHALL') --", b"%s%n{0}", b"<script>", b"\r\n$5\r\nhello\r\n"),
    *(pickle.dumps({"a": 1}), pickle.dumps(print), pickle.dumps([b"x"] * 50)[:-3]),
    *(_random.randbytes(size) for size in (1, 7, 64, 1_000, 65_536)),
]

#: Values for any key; the last one is of 10 MB.
VALUES: list[bytes] = [*_PIECES, b"x" * 100_000, LARGE]

#: What the keys' variable parts are, by the names that `Keys` gives them.
_PARTS = {
    "member": "default/stray",
    "tenant": "default",
    "bucket": "default",
    "key": "stray",
    "delivery_id": "default/stray:1",
    "worker": "stray",
    "device": "stray",
    "ref": "exact@1",
    "worker_class": "on-demand",
    "scope": Scope.ACTIVE,
    "day": str(time.time_ns() // 86_400_000_000_000),
}


def our_keys(keys: Keys, *, group: str) -> Iterator[tuple[str, str]]:
    """Every kind of key that there is, by name, with one key of that kind; a new kind is found by itself."""
    parts = _PARTS | {"group": group}
    for name, member in inspect.getmembers(Keys):
        if name.startswith("_") or name in ("cell", "prefix"):
            continue
        if isinstance(member, property):
            yield name, getattr(keys, name)
        elif inspect.isfunction(member):
            yield name, member(keys, *(parts[part] for part in list(inspect.signature(member).parameters)[1:]))


KINDS = ("string", "list", "set", "zset", "hash", "stream")


def pour(redis: Any, key: str, kind: str, values: list[bytes]) -> None:
    """Put all values into a key: added to what it holds if it is of this kind, else instead of it.

    Somebody may write to the key in the same moment; then some of it is refused.
    """
    with redis.pipeline(transaction=True) as pipe:
        if redis.type(key).decode() not in (kind, "none"):
            pipe.delete(key)
        for number, value in enumerate(values):
            _put(pipe, key, kind, value, number)
        pipe.execute(raise_on_error=False)


def _put(pipe: Any, key: str, kind: str, value: bytes, number: int) -> None:
    match kind:
        case "string":
            pipe.set(key, value)
        case "list":
            pipe.rpush(key, value)
        case "set":
            pipe.sadd(key, value)
        case "zset":
            pipe.zadd(key, {value: (0, 1, -1, float("inf"), float("-inf"))[number % 5]})
        case "hash":
            pipe.hset(key, value, value)
        case "stream":
            pipe.xadd(key, {value: value})


# --- Celery's -------------------------------------------------------------------------------------------------


def messages() -> list[bytes]:
    """Messages for a Celery queue: nothing like one, nearly one, and one with a single fault."""
    return [*VALUES, *(json.dumps(message).encode() for message in _broken_messages())]


def fuzz(seed: int, count: int) -> Iterator[bytes]:
    """Sound messages with bytes changed, lost or doubled, and with parts put where other parts belong."""
    draw = random.Random(seed)
    for _ in range(count):
        message = _sound_message()
        for part in (message, message["headers"], message["properties"]):
            if draw.random() < 0.4:
                part[draw.choice(list(part))] = draw.choice([*part.values(), *_ODD])
        text = bytearray(json.dumps(message).encode())
        for _ in range(draw.choice((0, 0, 1, 5))):
            at = draw.randrange(len(text))
            text[at : at + draw.randrange(3)] = draw.randbytes(draw.randrange(3))
        yield bytes(text)


def _sound_message() -> dict[str, Any]:
    return {
        "body": base64.b64encode(b"[[], {}, {}]").decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": "headrace.job", "id": "stray", "root_id": "stray", "argsrepr": "()"},
        "properties": {
            "correlation_id": "stray",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": "headrace.plain"},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": "stray",
        },
    }


_ODD: list[Any] = [None, 0, "x", [], {}, ["x"], {"x": 1}, True, 1e300, "\x00"]


def _broken_messages() -> Iterator[dict[str, Any]]:
    for field in _sound_message():
        yield {name: value for name, value in _sound_message().items() if name != field}
        yield from (_sound_message() | {field: odd} for odd in _ODD)
    for part in ("headers", "properties"):
        for field in {**_sound_message()[part], "eta": 1, "expires": 1, "timelimit": 1, "retries": 1, "group": 1}:
            for odd in _ODD:
                message = _sound_message()
                message[part] = message[part] | {field: odd}
                yield message
    for content_type in (
        "application/x-python-serialize",
        "application/x-yaml",
        "application/data",
        "text/plain",
        "none",
    ):
        yield _sound_message() | {"content-type": content_type}
    for body in (
        b"",
        b"\xff",
        b"[]",
        b"null",
        pickle.dumps(print),
        b"[1,2,3]",
        b'[["x"], {}, {}]',
        b'[[], {"x": 1}, {}]',
    ):
        yield _sound_message() | {"body": base64.b64encode(body).decode()}
    unknown = _sound_message()
    unknown["headers"]["task"] = "no.such.task"
    yield unknown
    yield {"task": "headrace.job", "args": [], "kwargs": {}, "id": "old"}
