"""Tests of registered receivers, from the API to a courier and back: one of a tenant at a time.

A list brings the test to whichever courier takes it first; the tenant's key says which test is under way, and holds
its answer in the end. That key runs out by itself, and a test that it does not name is not made: neither side has to
clean up after the other's death.
"""

import secrets
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from headrace.keys import Keys
from headrace.redis_op import RedisOp, Reply


class EndpointTest(NamedTuple):
    """One signed event that its receiver's owner asked for."""

    tenant: str
    endpoint_id: str
    #: The `webhook-id` that it goes out under.
    id: str

    def row(self) -> bytes:
        """As it lies in the list."""
        return orjson.dumps(tuple(self))


def new_test(tenant: str, endpoint_id: str) -> EndpointTest:
    """A test with an id of its own."""
    return EndpointTest(tenant, endpoint_id, f"test-{secrets.token_hex(10)}")


class EndpointTestStore:
    """Operations on the tests of one cell."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys

    def begin(self, test: EndpointTest, *, ttl_s: int) -> RedisOp[bool]:
        """Make it the one of its tenant; False if another is under way."""
        return RedisOp(bool, ("SET", self.keys.endpoint_test(test.tenant), _mark(test), "NX", "EX", ttl_s))

    def ask(self, test: EndpointTest) -> RedisOp[bool]:
        """Lay it before the couriers."""
        return RedisOp(bool, ("RPUSH", self.keys.endpoint_tests, test.row()))

    def ring(self) -> RedisOp[bool]:
        """Make the couriers look."""
        return RedisOp(bool, ("XADD", self.keys.couriers, "MAXLEN", 1, "*", "t", "1"))

    def withdraw(self, test: EndpointTest) -> RedisOp[bool]:
        """Take it back; False if a courier has taken it."""
        return RedisOp(bool, ("LREM", self.keys.endpoint_tests, 0, test.row()))

    def take(self, *, limit: int) -> RedisOp[list[EndpointTest]]:
        """Up to `limit` tests, for one courier only; what is none is dropped."""

        def parse(reply: Reply) -> list[EndpointTest]:
            return [test for row in reply or () if (test := _read(row))]

        return RedisOp(parse, ("LPOP", self.keys.endpoint_tests, limit))

    def is_wanted(self, test: EndpointTest) -> RedisOp[bool]:
        """True while somebody waits for its answer."""
        return RedisOp(lambda raw: raw == _mark(test), ("GET", self.keys.endpoint_test(test.tenant)))

    def answer(self, test: EndpointTest, outcome: str, status: int) -> RedisOp[bool]:
        """Say what came of it, if somebody still waits."""
        value = _mark(test, outcome, status)
        return RedisOp(bool, ("SET", self.keys.endpoint_test(test.tenant), value, "XX", "KEEPTTL"))

    def answered(self, test: EndpointTest) -> RedisOp[tuple[str, int] | None]:
        """What came of it, and the HTTP status, 0 if there was none; None while that is not known."""

        def parse(raw: bytes | None) -> tuple[str, int] | None:
            found = orjson.loads(raw) if raw else []
            return (found[1], found[2]) if len(found) == 3 and found[0] == test.id else None

        return RedisOp(parse, ("GET", self.keys.endpoint_test(test.tenant)))

    def end(self, test: EndpointTest) -> RedisOp[bool]:
        """Make room for the next one of its tenant."""
        return RedisOp(bool, ("DEL", self.keys.endpoint_test(test.tenant)))


def _mark(test: EndpointTest, *answer: str | int) -> bytes:
    return orjson.dumps([test.id, *answer])


def _read(row: bytes) -> EndpointTest | None:
    try:
        texts: Sequence[str] = orjson.loads(row)
        return EndpointTest(*texts) if all(isinstance(text, str) for text in texts) else None
    except (ValueError, TypeError):
        return None
