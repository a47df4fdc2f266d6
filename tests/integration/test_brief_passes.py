"""Passes that should be over in a moment, of which only the end is told, and what happens when they are not over."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.jobs import Cause, JobStatus
from headrace.keys import Keys
from headrace.model_ref import ModelRef
from tests.integration.engine_rig import EngineRig
from workers.executor import Executor
from workers.frames import Frame, Message


class BriefRig(EngineRig):
    """An engine whose child knows that single jobs of its model take no time, and what that child says from then on."""

    def know(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.said: list[Message] = []
        self.ref: ModelRef = self.push()
        self.start()
        self.do("first")
        hear = Executor._hear

        def hearing(executor: Executor, message: Message) -> None:
            self.said.append(message)
            hear(executor, message)

        monkeypatch.setattr(Executor, "_hear", hearing)
        while not self.said or self.starts:
            self.said.clear()
            self.do("a", "b", "c", "d")

    def do(self, *words: str) -> None:
        """One job after the other."""
        for word in words:
            assert [JobStatus.SUCCEEDED] == self.finish(*self.submit(word, ref=self.ref))

    @property
    def starts(self) -> list[Message]:
        return [message for message in self.said if message[0] == Frame.STARTED]


@pytest.fixture
def rig(redis_url: str, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BriefRig]:
    rig = BriefRig(url=redis_url, keys=keys, folder=tmp_path)
    rig.know(monkeypatch)
    yield rig
    rig.close()


def test_of_a_brief_pass_only_its_end_is_told_and_it_is_charged_as_any_other(rig: BriefRig) -> None:
    [member] = rig.submit("a", ref=rig.ref)

    statuses = rig.finish(member)

    assert ([], [JobStatus.SUCCEEDED]) == (rig.starts, statuses)
    assert 1 == rig.job(member).attempts
    assert 0 == rig.engine._path.held.running == len(rig.engine._path.held)


def test_a_pass_that_takes_longer_than_it_should_is_recorded_as_running(rig: BriefRig) -> None:
    [member] = rig.submit("sleep 2", ref=rig.ref)

    rig.run_until(lambda: rig.job(member).status is JobStatus.RUNNING)

    assert 1 == len(rig.starts)
    assert [JobStatus.SUCCEEDED] == rig.finish(member)


def test_a_pass_in_which_nobody_can_tell_that_it_lasts_is_seen_and_bounded_all_the_same(rig: BriefRig) -> None:
    [member] = rig.submit("hold the GIL", ref=rig.ref, run_timeout_s=1)

    rig.run_until(lambda: rig.job(member).status is JobStatus.RUNNING)
    rig.finish(member)

    assert ([], Cause.RUN_TIMEOUT) == (rig.starts, rig.job(member).cause)
    rig.do("after")


def test_who_kills_the_process_in_a_brief_pass_is_known_and_fails_alone(rig: BriefRig) -> None:
    [member] = rig.submit("exit", ref=rig.ref)

    rig.finish(member)

    assert (Cause.WORKER_LOST, 1) == (rig.job(member).cause, rig.job(member).attempts)
    assert 2 == rig.engine.figures().child_deaths
    rig.do("after")
