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
def test_each_signal_counts(stop: StopSignal) -> None:
    stop.listen()

    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)

    assert stop.wait(60.0)
    assert stop.count == 2


@pytest.mark.usefixtures("restored_signals")
def test_a_hangup_that_is_ignored_stays_ignored(stop: StopSignal) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    stop.listen()

    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
