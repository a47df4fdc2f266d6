"""The second level of residency in a real child: the models' memory stands for a device's, and hooks move it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headrace.jobs import JobStatus, Reason
from headrace.keys import Keys
from headrace.model_ref import ModelRef
from headrace.presence import ModelState, explain_wait
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass
from tests.integration.engine_rig import EngineRig
from tests.integration.test_residency import MODEL_BYTES, ROOM_BYTES, bare_bytes  # noqa: F401 - a fixture

#: Notes what its hooks were asked. What is on the disk stands for host memory.
SOURCE = f"""
import os, time
from headrace.model import Model

def note(word):
    with open(NOTES, "a") as file:
        file.write(word + " ")

class Movable(Model, max_batch=8, memory_bytes={MODEL_BYTES}):
    def load(self, files, device):
        note("load")
        time.sleep(0.3)
        self.weights = bytearray(b"x") * {MODEL_BYTES}

    def to_host(self):
        note("to_host")
        OUT
        self.weights = None

    def to_device(self, device):
        note("to_device:" + device)
        BACK
        self.weights = bytearray(b"x") * {MODEL_BYTES}

    def forward(self, batch: list[str]) -> list[str]:
        return [word + chr(self.weights[-1]) for word in batch]
"""
FAILS = "raise RuntimeError('no')"

Start = Callable[..., EngineRig]


@pytest.fixture
def start(redis_url: str, keys: Keys, tmp_path: Path, bare_bytes: int) -> Iterator[Start]:  # noqa: F811 - the fixture
    """Start a worker with device memory for one model and host memory for ten."""
    rigs: list[EngineRig] = []

    def start(**settings: float) -> EngineRig:
        budget_bytes = bare_bytes + ROOM_BYTES + MODEL_BYTES
        kind = WorkerClass(memory_bytes=budget_bytes, wait_objective_s=0.5, threads=1)
        # Settings refuse it on a CPU, as they should.
        kind = kind.model_copy(update={"host_memory_bytes": 10 * MODEL_BYTES})
        rigs.append(EngineRig(kind, url=redis_url, keys=keys, folder=tmp_path, **settings))
        return rigs[-1]

    yield start
    for rig in rigs:
        rig.close()


class Two:
    """A worker with memory for one of two models, `a` and `b`, and what the hooks of `a` do and were asked."""

    def __init__(self, rig: EngineRig, folder: Path, *, out: str = "pass", back: str = "pass") -> None:
        self.rig, self._notes = rig, folder / "notes"
        self.a = rig.push("a", _source(self._notes, out, back))
        self.b = rig.push("b", _source(folder / "others", "pass", "pass"))
        rig.start()

    def asked(self) -> list[str]:
        return self._notes.read_text().split() if self._notes.exists() else []

    def run(self, ref: ModelRef) -> None:
        [member] = self.rig.submit("a", ref=ref)
        assert [JobStatus.SUCCEEDED] == self.rig.finish(member)
        assert b'"ax"' == self.rig.output(member)


def _source(notes: Path, out: str, back: str) -> str:
    return SOURCE.replace("NOTES", repr(str(notes))).replace("OUT", out).replace("BACK", back)


def test_what_made_way_is_parked_and_comes_back_by_a_copy(start: Start, tmp_path: Path) -> None:
    two = Two(start(), tmp_path)
    two.run(two.a)

    two.run(two.b)
    worker = two.rig.engine.presence()
    two.run(two.a)

    parked, other = worker.models[str(two.a)], worker.models[str(two.b)]
    assert (True, True, ModelState.LOADING) == (parked.parked, parked.cold, parked.state)
    assert MODEL_BYTES // 2 < parked.host_bytes
    assert (False, ModelState.READY) == (other.parked, other.state)
    reason, detail = explain_wait(two.a, Tier.STANDARD, [worker])
    assert (Reason.MODEL_LOADING, True) == (reason, "copied back from host memory" in detail)
    assert ["to_host", "to_device:cpu"] == two.asked()[two.asked().index("to_host") :]
    assert not two.rig.engine.presence().models[str(two.a)].parked


def test_what_cannot_be_parked_is_unloaded_and_loaded_again(start: Start, tmp_path: Path) -> None:
    two = Two(start(), tmp_path, out=FAILS)
    two.run(two.a)

    two.run(two.b)
    parked = two.rig.engine.presence().models[str(two.a)].parked
    two.run(two.a)

    assert not parked
    assert ["to_host", "load"] == two.asked()[two.asked().index("to_host") :]


def test_what_cannot_come_back_is_loaded_anew(start: Start, tmp_path: Path) -> None:
    two = Two(start(), tmp_path, back=FAILS)
    two.run(two.a)

    two.run(two.b)
    two.run(two.a)

    assert ["to_host", "to_device:cpu", "load"] == two.asked()[two.asked().index("to_host") :]


@pytest.mark.parametrize(("way", "fault"), [("out", "time.sleep(3600)"), ("back", "os._exit(3)")])
def test_a_copy_that_costs_its_process_costs_no_job_and_is_not_made_again(
    start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture, way: str, fault: str
) -> None:
    two = Two(start(forward_limit_s=1.0, load_limit_s=1.0), tmp_path, **{way: fault})
    two.run(two.a)
    child = two.rig.engine.presence().child_pid

    two.run(two.b)
    two.run(two.a)
    second = two.rig.engine.presence().child_pid
    two.run(two.b)
    two.run(two.a)

    copies = [word for word in two.asked() if word != "load"]
    assert (["to_host"] if way == "out" else ["to_host", "to_device:cpu"]) == copies
    assert child != second == two.rig.engine.presence().child_pid
    assert 1 == caplog.text.count(f"{two.a}: a copy of it took its process along")


def test_a_child_that_dies_takes_what_was_parked_along_and_it_is_loaded_again(start: Start, tmp_path: Path) -> None:
    two = Two(start(), tmp_path)
    two.run(two.a)
    two.run(two.b)

    two.rig.engine.renew_child()
    two.run(two.a)

    assert "load" == two.asked()[-1]
