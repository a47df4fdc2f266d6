"""Descriptors behind one descriptor of another loop."""

import os
from collections.abc import Iterator

import pytest

from workers.loop import SelectorLoop
from workers.nested_loop import NestedLoop


@pytest.fixture
def outer() -> Iterator[SelectorLoop]:
    loop = SelectorLoop()
    yield loop
    loop.close()


@pytest.fixture
def loop(outer: SelectorLoop) -> Iterator[NestedLoop]:
    loop = NestedLoop(outer)
    yield loop
    loop.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for fd in ends:
        os.close(fd)


def test_what_can_be_read_is_called_back(outer: SelectorLoop, loop: NestedLoop, pipe: tuple[int, int]) -> None:
    heard: list[bytes] = []
    loop.add_reader(pipe[0], lambda: heard.append(os.read(pipe[0], 10)))

    os.write(pipe[1], b"one")

    assert outer.run_until(lambda: heard == [b"one"], limit_s=30)


def test_what_can_be_written_is_called_back_until_it_is_removed(
    outer: SelectorLoop, loop: NestedLoop, pipe: tuple[int, int]
) -> None:
    calls: list[int] = []

    def once() -> None:
        calls.append(1)
        loop.remove_writer(pipe[1])

    loop.add_writer(pipe[1], once)

    assert outer.run_until(lambda: bool(calls), limit_s=30)
    outer.run_until(lambda: False, limit_s=0.01)
    assert calls == [1]


def test_events_that_follow_each_other_need_one_turn_of_the_outer_loop(
    loop: NestedLoop, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.nested_loop._LONGEST_S", 30.0)
    heard: list[bytes] = []

    def answer() -> None:
        heard.append(os.read(pipe[0], 10))
        if len(heard) < 5:
            os.write(pipe[1], b"next")

    loop.add_reader(pipe[0], answer)
    os.write(pipe[1], b"first")
    loop._on_ready()

    assert [b"first", *4 * [b"next"]] == heard


def test_the_outer_loop_gets_its_turn_however_much_happens(
    loop: NestedLoop, pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.nested_loop._LONGEST_S", 0.0)
    calls: list[int] = []
    loop.add_writer(pipe[1], lambda: calls.append(1))

    loop._on_ready()

    assert calls == [1]


def test_a_callback_may_remove_what_is_ready_too(loop: NestedLoop) -> None:
    first, second = os.pipe(), os.pipe()
    calls: list[str] = []

    def take(name: str, other: int) -> None:
        calls.append(name)
        loop.remove_reader(first[0])
        loop.remove_reader(other)

    loop.add_reader(first[0], lambda: take("first", second[0]))
    loop.add_reader(second[0], lambda: take("second", first[0]))
    for ends in (first, second):
        os.write(ends[1], b"x")
    loop._on_ready()

    assert len(calls) == 1
    for fd in (*first, *second):
        os.close(fd)


def test_a_closed_loop_calls_nobody_and_leaves_the_outer_one(outer: SelectorLoop, pipe: tuple[int, int]) -> None:
    loop = NestedLoop(outer)
    calls: list[int] = []
    loop.add_reader(pipe[0], lambda: calls.append(1))

    loop.close()
    os.write(pipe[1], b"x")
    outer.run_until(lambda: False, limit_s=0.01)

    assert calls == []
    loop.remove_reader(pipe[0])
