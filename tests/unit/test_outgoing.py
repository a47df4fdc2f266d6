"""What leaves of an answer, and when."""

from types import SimpleNamespace
from typing import Any

import pytest

from api.outgoing import Outgoing


class Wire:
    """Notes what a transport is told."""

    def __init__(self) -> None:
        self.told: list[bytes | str] = []

    def write(self, data: bytes) -> None:
        self.told.append(data)

    def close(self) -> None:
        self.told.append("close")

    def is_closing(self) -> bool:
        return "close" in self.told


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def outgoing(wire: Wire) -> Outgoing:
    return Outgoing(wire)


def answering(outgoing: Outgoing, *, is_started: bool = True) -> Any:
    cycle = SimpleNamespace(response_started=is_started)
    outgoing.begin(cycle)
    return cycle


def test_a_head_leaves_with_the_beginning_of_its_body(wire: Wire, outgoing: Outgoing) -> None:
    for answer in (b"1", b"2"):
        cycle = answering(outgoing)
        for part in (b"head ", b"body ", b"more " + answer):
            cycle.transport.write(part)

    assert [b"head body ", b"more 1", b"head body ", b"more 2"] == wire.told


def test_a_large_body_is_not_copied_for_its_head(wire: Wire, outgoing: Outgoing) -> None:
    cycle, body = answering(outgoing), bytes(100_000)

    cycle.transport.write(b"head")
    cycle.transport.write(body)

    assert [b"head", body] == wire.told
    assert wire.told[1] is body


def test_a_head_that_no_body_follows_leaves_when_all_is_said(wire: Wire, outgoing: Outgoing) -> None:
    answering(outgoing).transport.write(b"head")

    outgoing.flush()
    outgoing.flush()

    assert [b"head"] == wire.told


def test_a_head_leaves_before_the_connection_is_closed(wire: Wire, outgoing: Outgoing) -> None:
    cycle = answering(outgoing)
    cycle.transport.write(b"head")

    cycle.transport.close()

    assert [b"head", "close"] == wire.told
    assert cycle.transport.is_closing()


def test_what_is_said_before_an_answer_leaves_at_once(wire: Wire, outgoing: Outgoing) -> None:
    cycle = answering(outgoing, is_started=False)

    cycle.transport.write(b"100 Continue")

    assert [b"100 Continue"] == wire.told
