"""A model that crashes beside others: they are charged nothing, and soon it has a process of its own."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headrace.jobs import Cause, JobStatus
from headrace.keys import Keys
from headrace.model_ref import ModelRef
from headrace.presence import ModelState
from headrace.worker_class import WorkerClass
from tests.integration.engine_rig import SOURCE, EngineRig

OWN = SOURCE.replace("max_batch=8", 'max_batch=8, isolation="own"')

#: Can be loaded once.
ONCE = SOURCE.replace(
    "    def forward",
    """    def load(self, files, device):
        if os.path.exists(MARK):
            os._exit(3)
        open(MARK, "w").close()

    def forward""",
)

Start = Callable[..., EngineRig]


@pytest.fixture
def start(redis_url: str, keys: Keys, tmp_path: Path) -> Iterator[Start]:
    rigs: list[EngineRig] = []

    def start(*sources: str, **settings: object) -> EngineRig:
        """A worker that is ready to serve a model of each source, called a, b, …"""
        rig = EngineRig(
            WorkerClass.model_validate(settings), url=redis_url, keys=keys, folder=tmp_path, forward_limit_s=20.0
        )
        rigs.append(rig)
        refs = [str(rig.push(name, source)) for name, source in zip("ab", sources, strict=False)]
        rig.start()
        rig.run_until(lambda: ready(rig) == set(refs))
        return rig

    yield start
    for rig in rigs:
        rig.close()


def ready(rig: EngineRig) -> set[str]:
    models = rig.engine.presence().models
    return {ref for ref, model in models.items() if model.state is ModelState.READY}


def apart(rig: EngineRig) -> set[str]:
    return {ref for ref, model in rig.engine.presence().models.items() if model.apart}


def crash(rig: EngineRig, name: str, *others: str) -> None:
    """Have a model meet the input that kills its process, with jobs of others beside it."""
    [guilty] = rig.submit("segfault", ref=ref_of(name))
    members = [member for other in others for member in rig.submit("x", "y", "sleep 0.2", ref=ref_of(other))]
    rig.finish(guilty, *members)

    job = rig.job(guilty)
    assert (JobStatus.FAILED, Cause.WORKER_LOST) == (job.status, job.cause)
    assert {(JobStatus.SUCCEEDED, 1)} == {(rig.job(m).status, rig.job(m).attempts) for m in members} or not members


def children() -> set[int]:
    """Models' processes of this one."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == os.getpid() and b"workers.child" in command:
            found.add(int(folder.name))
    return found


def ref_of(name: str) -> ModelRef:
    return ModelRef(name, 1)


def test_a_model_that_crashes_the_shared_process_twice_runs_apart_and_the_other_is_charged_nothing(
    start: Start,
) -> None:
    rig = start(SOURCE, SOURCE)

    crash(rig, "a", "b")
    rig.run_until(lambda: ready(rig) == {"a@1", "b@1"})

    assert {"a@1"} == apart(rig)
    assert rig.engine.figures().child_deaths == 2


def test_what_runs_apart_hurts_nobody_but_itself(start: Start) -> None:
    rig = start(SOURCE, SOURCE)
    crash(rig, "a")
    rig.run_until(lambda: ready(rig) == {"a@1", "b@1"})
    shared = rig.engine.child_pid

    [beside] = rig.submit("sleep 3", ref=ref_of("b"))
    rig.run_until(lambda: rig.job(beside).status is JobStatus.RUNNING)
    crash(rig, "a")
    [after] = rig.submit("fine", ref=ref_of("a"))

    assert [JobStatus.SUCCEEDED] * 2 == rig.finish(beside, after)
    assert rig.job(beside).attempts == 1
    assert shared == rig.engine.child_pid


def test_a_model_whose_author_wants_it_runs_apart_from_the_start(start: Start) -> None:
    rig = start(OWN, SOURCE)
    shared = rig.engine.child_pid

    crash(rig, "a", "b")

    assert {"a@1"} == apart(rig)
    assert shared == rig.engine.child_pid


def test_others_run_on_while_what_runs_apart_hangs(start: Start) -> None:
    rig = start(OWN, SOURCE)
    hanging = rig.submit("sleep 15", *["x"] * 40, ref=ref_of("a"))
    rig.run_until(lambda: any(rig.job(member).status is JobStatus.RUNNING for member in hanging))

    others = rig.submit(*["y"] * 40, ref=ref_of("b"))

    assert [JobStatus.SUCCEEDED] * 40 == rig.finish(*others)
    assert rig.job(hanging[0]).status is JobStatus.RUNNING
    assert rig.engine.presence().groups["a@1:standard"].held <= 24


def test_every_process_is_replaced_though_one_of_them_dies_meanwhile(start: Start) -> None:
    rig = start(OWN, SOURCE)
    before, shared = children(), rig.engine.child_pid
    assert shared is not None

    rig.engine.renew_child()
    os.kill(shared, signal.SIGKILL)
    [member] = rig.submit("x", ref=ref_of("a"))

    assert [JobStatus.SUCCEEDED] == rig.finish(member)
    assert not children() & before


def test_jobs_of_a_version_whose_load_kills_its_process_are_given_back_and_charged_nothing(
    start: Start, tmp_path: Path
) -> None:
    rig = start(ONCE.replace("MARK", repr(str(tmp_path / "mark"))), SOURCE)
    rig.submit("sleep 2", ref=ref_of("b"))
    rig.run_until(lambda: rig.engine.presence().jobs_held == 1)
    waiting = rig.submit("x", "y", ref=ref_of("a"))
    rig.run_until(lambda: rig.engine.presence().jobs_held == 3)

    rig.engine.renew_child()
    rig.run_until(lambda: "died while loading" in rig.engine.presence().models["a@1"].error)
    rig.run_until(lambda: rig.engine.presence().jobs_held == 0)

    assert {(JobStatus.QUEUED, 0)} == {(rig.job(member).status, rig.job(member).attempts) for member in waiting}


def test_a_worker_that_stops_ends_every_process(start: Start) -> None:
    rig = start(OWN, SOURCE)
    assert len(children()) == 2

    rig.engine.stop()

    assert set() == children()
