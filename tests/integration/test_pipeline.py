"""Inputs and rows that break the process or hang beside somebody else's pass: a real server, a real child."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headrace.jobs import Cause, JobStatus
from headrace.keys import Keys
from tests.integration.engine_rig import EngineRig

#: Passes of 30 ms, long enough for others to be prepared and finished beside them.
SOURCE = '''
import ctypes, os, threading, time
from headrace.model import Model

def obey(word):
    if word == "exit":
        os._exit(3)
    if word == "segfault":
        ctypes.string_at(0)
    if word == "leave":
        raise SystemExit
    if word == "hang":
        time.sleep(3600)
    if word == "hold the GIL":
        ctypes.PyDLL(None).sleep(3600)

#: To be worth a thread.
LONG_ENOUGH_S = 0.001

class Obedient(Model, max_batch=4):
    """Does what its input says, before or after the pass."""

    def preprocess(self, item: str) -> str:
        time.sleep(LONG_ENOUGH_S)
        when, _, word = item.partition(":")
        if when == "before":
            obey(word)
        return item

    def forward(self, batch: list[str]) -> list[str]:
        time.sleep(0.03)
        return batch

    def postprocess(self, row: str) -> str:
        time.sleep(LONG_ENOUGH_S)
        when, _, word = row.partition(":")
        if when == "after":
            obey(word)
        return threading.current_thread().name
'''
MakeRig = Callable[..., EngineRig]


def finish(rig: EngineRig, members: list[str]) -> list[JobStatus]:
    """Run until all have ended, with time for a process or two to be started anew; answers how."""
    rig.run_until(lambda: all(rig.job(member).status.is_terminal for member in members), limit_s=60)
    return [rig.job(member).status for member in members]


@pytest.fixture
def make_rig(redis_url: str, keys: Keys, tmp_path: Path) -> Iterator[MakeRig]:
    rigs: list[EngineRig] = []

    def make(**settings: float) -> EngineRig:
        rigs.append(EngineRig(url=redis_url, keys=keys, folder=tmp_path, **settings))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


def test_a_backlog_is_finished_beside_the_passes(make_rig: MakeRig) -> None:
    rig = make_rig()
    members = rig.submit(*(f"word {n}" for n in range(64)), ref=rig.push("m", SOURCE))

    rig.start()

    assert {JobStatus.SUCCEEDED} == set(finish(rig, members))
    assert b'"finisher"' in {rig.output(member) for member in members}


def test_after_a_trial_of_stages_between_the_passes_they_run_beside_them_again(make_rig: MakeRig) -> None:
    rig = make_rig()
    cost = "    def cost(self, item: str) -> int:\n        return 1\n\n"
    source = SOURCE.replace("    def forward", cost + "    def forward")
    members = rig.submit(*(f"word {n}" for n in range(200)), ref=rig.push("m", source))

    rig.start()
    finish(rig, members)

    assert b'"finisher"' in {rig.output(member) for member in members[80:]}


def test_a_model_that_does_not_overlap_is_finished_by_its_main_thread(make_rig: MakeRig) -> None:
    rig = make_rig()
    source = SOURCE.replace("max_batch=4", "max_batch=4, overlap=False")
    members = rig.submit(*(f"word {n}" for n in range(64)), ref=rig.push("m", source))

    rig.start()
    finish(rig, members)

    assert {b'"MainThread"'} == {rig.output(member) for member in members}


@pytest.mark.parametrize(("when", "crash"), [("before", "exit"), ("after", "segfault"), ("before", "leave")])
def test_an_input_that_kills_the_process_beside_a_pass_fails_alone(
    make_rig: MakeRig, caplog: pytest.LogCaptureFixture, when: str, crash: str
) -> None:
    rig = make_rig()
    words = [f"word {n}" for n in range(40)]
    words[29] = f"{when}:{crash}"
    members = rig.submit(*words, ref=rig.push("m", SOURCE))

    rig.start()
    statuses = finish(rig, members)

    assert JobStatus.FAILED == statuses.pop(29)
    assert {JobStatus.SUCCEEDED} == set(statuses)
    assert rig.job(members[29]).cause == Cause.WORKER_LOST
    assert 0 == rig.leases()
    # It was a suspect at once, and ran alone next.
    assert 2 == len([r for r in caplog.records if r.name == "headrace.executor" and "died" in r.message])


def test_of_inputs_that_are_prepared_together_the_one_that_kills_the_process_fails_alone(
    make_rig: MakeRig, caplog: pytest.LogCaptureFixture
) -> None:
    rig = make_rig()
    together = "    def preprocess_all(self, items):\n        return [self.preprocess(item) for item in items]\n\n"
    words = [f"word {n}" for n in range(40)]
    words[29] = "before:exit"
    members = rig.submit(*words, ref=rig.push("m", SOURCE.replace("    def forward", together + "    def forward")))

    rig.start()
    statuses = finish(rig, members)

    assert JobStatus.FAILED == statuses.pop(29)
    assert {JobStatus.SUCCEEDED} == set(statuses)
    assert rig.job(members[29]).cause == Cause.WORKER_LOST
    # All that were in the same call were suspects, and the next one ran alone.
    assert 2 == len([r for r in caplog.records if r.name == "headrace.executor" and "died" in r.message])


@pytest.mark.parametrize(("when", "hang"), [("before", "hang"), ("after", "hold the GIL")])
def test_an_input_that_hangs_beside_a_pass_fails_alone(make_rig: MakeRig, when: str, hang: str) -> None:
    rig = make_rig(forward_limit_s=2.0)
    words = [f"word {n}" for n in range(40)]
    words[29] = f"{when}:{hang}"
    members = rig.submit(*words, ref=rig.push("m", SOURCE))

    rig.start()
    statuses = finish(rig, members)

    assert JobStatus.FAILED == statuses.pop(29)
    assert {JobStatus.SUCCEEDED} == set(statuses)
    assert rig.job(members[29]).cause == Cause.TIMEOUT
