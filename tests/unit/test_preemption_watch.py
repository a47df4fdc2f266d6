"""The thread that looks for a notice."""

import logging
import threading
from collections.abc import Callable

import pytest

from workers.preemption.notice import Notice
from workers.preemption.watch import PreemptionWatch

LIMIT_S = 30.0

#: What a look finds, or raises.
Find = Callable[[], Notice | None]


class Script:
    """A source that finds one thing after another, then the last one for ever."""

    every_s = 0.001

    def __init__(self, *finds: Find) -> None:
        self._finds = list(finds)
        self.is_through = threading.Event()

    def look(self) -> Notice | None:
        find = self._finds.pop(0) if len(self._finds) > 1 else self._finds[0]
        if len(self._finds) == 1:
            self.is_through.set()
        return find()


def nothing() -> None:
    return None


def silence() -> None:
    raise TimeoutError("timed out")


def nonsense() -> None:
    raise ValueError("no object")


def notice(left_s: float) -> Find:
    return lambda: Notice("terminate", left_s)


class Worker:
    """Notes what it is told."""

    def __init__(self, source: Script, *, grace_s: float = 25.0, least_s: float = 0.01) -> None:
        self.left_s: list[float] = []
        self.was_told, self.is_overdue = threading.Event(), threading.Event()
        self.watch = PreemptionWatch(
            source=source, grace_s=grace_s, on_notice=self._told, on_overdue=self.is_overdue.set, least_s=least_s
        )
        self.watch.start()

    def _told(self, left_s: float) -> None:
        self.left_s.append(left_s)
        self.was_told.set()


def test_a_notice_is_told_with_the_time_that_is_left() -> None:
    worker = Worker(Script(nothing, notice(12.0)))

    assert worker.was_told.wait(LIMIT_S)
    assert [12.0] == worker.left_s


def test_a_longer_notice_leaves_no_more_than_the_grace() -> None:
    worker = Worker(Script(notice(120.0)), grace_s=25.0)

    assert worker.was_told.wait(LIMIT_S)
    assert [25.0] == worker.left_s


def test_a_notice_is_found_after_whatever_went_wrong_and_that_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)

    worker = Worker(Script(silence, nonsense, silence, notice(25.0)))

    assert worker.was_told.wait(LIMIT_S)
    assert 1 == caplog.text.count("no notice can be seen")


def test_a_worker_that_is_still_there_when_the_time_is_over_is_ended() -> None:
    worker = Worker(Script(notice(0.0)))

    assert worker.is_overdue.wait(LIMIT_S)
    assert [0.0] == worker.left_s


def test_a_notice_that_leaves_nothing_leaves_the_time_to_give_everything_back(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float | None] = []

    def wait(_: threading.Event, timeout: float | None = None) -> bool:
        waits.append(timeout)
        return False

    monkeypatch.setattr(threading.Event, "wait", wait)
    watch = PreemptionWatch(source=Script(notice(0.0)), grace_s=25.0, on_notice=lambda _: None, on_overdue=lambda: None)

    watch._run()

    assert [3.0] == waits


def test_a_watch_that_is_closed_looks_no_more() -> None:
    source = Script(nothing, nothing)
    worker = Worker(source)
    assert source.is_through.wait(LIMIT_S)

    worker.watch.close()

    worker.watch._thread.join(LIMIT_S)
    assert not worker.watch._thread.is_alive()
    assert [] == worker.left_s
