"""Requests to stop as something that a loop waits for."""

import os
import signal
from collections.abc import Iterator

import pytest

from scheduler.stop_signal import StopSignal


@pytest.fixture
def stop() -> Iterator[StopSignal]:
    stop = StopSignal()
    yield stop
    stop.close()


@pytest.fixture
def restored_signals() -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_without_a_request_a_wait_ends_by_its_time(stop: StopSignal) -> None:
    assert not stop.wait(0.001)


def test_a_request_ends_this_and_every_further_wait(stop: StopSignal) -> None:
    stop.request()

    assert stop.wait(60.0)
    assert stop.wait(60.0)


@pytest.mark.usefixtures("restored_signals")
@pytest.mark.parametrize(("apart_s", "count"), [(0.4, 1), (0.6, 2)])
def test_signals_count_unless_they_are_echoes_of_one_wish(apart_s: float, count: int) -> None:
    now = 100.0
    stop = StopSignal(clock=lambda: now)
    stop.listen()

    os.kill(os.getpid(), signal.SIGTERM)
    now += apart_s
    os.kill(os.getpid(), signal.SIGINT)

    assert stop.wait(60.0)
    assert count == stop.count
    stop.close()


@pytest.mark.usefixtures("restored_signals")
def test_a_hangup_that_is_ignored_stays_ignored(stop: StopSignal) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    stop.listen()

    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
