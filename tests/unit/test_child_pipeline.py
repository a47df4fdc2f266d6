"""The stages of the child: beside a pass, or one after the other in the main thread where that is quicker."""

import io
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from registry.registry import Registry
from tests.model_folder import write_model
from workers.batcher import Batch, WaitingJob
from workers.child_loads import ChildLoads
from workers.finisher import Ended, Finisher
from workers.frames import Decoder, Frame, PassReport
from workers.inbox import Inbox, Load, Wanted
from workers.loaded_models import LoadedModels
from workers.memory_meter import MemoryMeter
from workers.opening import Opening
from workers.preparer import Preparer
from workers.runtime import Runtime, Staged
from workers.stage_marks import Stage, StageMarks, make_marks

#: Says which thread ran its hooks; the cost of a word is its length.
SOURCE = """
import threading
def here(): return threading.current_thread().name
class M(Model, max_batch=4):
    def preprocess(self, item: str): return [item, here()]
    def cost(self, item): return len(item[0])
    def forward(self, batch): return [[*item, here()] for item in batch]
    def postprocess(self, row) -> list[str]: return [*row, here()]
"""
REF = "m@1"


def wait_for(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.005)


class Rig:
    """A child's stages without the child."""

    def __init__(self, folder: Path, source: str = SOURCE) -> None:
        registry = Registry(url=(folder / "registry").as_uri())
        registry.push(write_model(folder / "source", source), name="m")
        self.models = LoadedModels(registry=registry, cache=folder / "cache", device="cpu")
        self.runtime = self.models.load(REF, b"")
        _, self.marks = make_marks()
        self.inbox = Inbox()
        self.preparer = Preparer(inbox=self.inbox, models=self.models, marks=self.marks)
        self.up = io.BytesIO()
        self.finisher = Finisher(up=self.up, marks=self.marks, opening=Opening(up=self.up, marks=self.marks))

    def put(self, *words: str, alone: bool = False, first_slot: int = 0) -> None:
        rows = [[first_slot + i, orjson.dumps(word), 1, math.inf, False, b"", None] for i, word in enumerate(words)]
        self.inbox.put([Frame.JOBS, REF, alone, rows])

    def batch(self) -> Batch:
        """What runs next, after what must be known of it is known."""
        while isinstance(task := self.inbox.take(self.models.limits), Wanted):
            self.preparer.stage_waiting(task.ref, task.jobs)
        assert isinstance(task, Batch)
        return task

    def ended(self, batch: Batch) -> Ended:
        staged = self.preparer.stage(self.runtime, batch.jobs)
        slots = [job.slot for job in batch.jobs]
        return Ended(self.runtime, slots, self.runtime.forward(staged), took_s=0.25, staged_s=0.5)

    def told(self) -> list[list[object]]:
        """What the parent was told."""
        return list(Decoder().feed(self.up.getvalue()))


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


@pytest.fixture
def threads(rig: Rig) -> Iterator[Rig]:
    """The stages with their threads, which stay where they are when the test ends."""
    rig.preparer.start()
    rig.finisher.start()
    yield rig
    rig.inbox.close_beside()


@pytest.fixture
def together(tmp_path: Path) -> Iterator[Rig]:
    """The same of a model that prepares several at once; of what it prepares it says so."""
    how = "    def preprocess_all(self, items): return [[('together', item), here()] for item in items]\n"
    rig = Rig(tmp_path, SOURCE.replace("    def cost", how + "    def cost").replace("len(item[0])", "1"))
    rig.preparer.start()
    yield rig
    rig.inbox.close_beside()


def threads_of(row: object) -> list[str]:
    assert isinstance(row, list)
    return [str(name) for name in orjson.loads(row[2])[1:]]


def test_a_child_with_nothing_beside_does_everything_in_one_thread(threads: Rig) -> None:
    threads.put("a", "b")

    threads.finisher.finish(threads.ended(threads.batch()))

    [[kind, slots, results, _]] = threads.told()
    assert (Frame.DONE, [0, 1]) == (kind, slots)
    assert isinstance(results, list)
    assert [["MainThread"] * 3] * 2 == [threads_of(row) for row in results]


def test_inputs_are_prepared_beside_a_pass_and_not_again(threads: Rig) -> None:
    threads.put("a", "b", "c")
    with threads.preparer.beside():
        wait_for(lambda: all(map(threads.inbox.is_staged, range(3))))

    forwarded = threads.ended(threads.batch()).forwarded

    assert ["preparer"] * 3 == [row[1] for row in forwarded.rows]
    assert not any(map(threads.inbox.is_staged, range(3)))


def test_of_a_model_that_says_how_a_batch_is_prepared_together_and_more_only_in_time(together: Rig) -> None:
    together.put("a", "b", "c", "d", "e", "f")
    together.runtime.staging.took(1, 3600.0)

    with together.preparer.beside(expected_s=0.1, only_together=True):
        wait_for(lambda: together.inbox.staged == 4 and not together.marks.slots())
        together.put("g", "h", first_slot=6)
    rows = together.ended(together.batch()).forwarded.rows

    assert [("together", word) for word in "abcd"] == [row[0] for row in rows]
    assert {"preparer"} == {row[1] for row in rows}


def test_where_there_is_time_more_than_a_batch_is_prepared_together(together: Rig) -> None:
    together.put("a", "b", "c", "d", "e", "f")

    with together.preparer.beside():
        wait_for(lambda: together.inbox.staged == 6)


def test_beside_a_pass_that_bears_only_that_nothing_is_prepared_one_by_one(threads: Rig) -> None:
    threads.put("a")
    with threads.preparer.beside(only_together=True):
        threads.put("b", first_slot=1)
    with threads.preparer.beside():
        wait_for(lambda: threads.inbox.staged == 2)

    assert [["preparer"]] * 2 == [row[1:2] for row in threads.ended(threads.batch()).forwarded.rows]


def test_what_comes_while_a_pass_runs_is_prepared_too(threads: Rig) -> None:
    with threads.preparer.beside():
        threads.put("late")
        wait_for(lambda: threads.inbox.is_staged(0))

    assert {} == threads.marks.slots()


def test_nothing_is_prepared_beside_no_pass(threads: Rig) -> None:
    with threads.preparer.beside():
        pass
    threads.put("a")

    # Held, so that a thread that did not look at the end of the pass would have had the time.
    staged = threads.preparer.stage(threads.runtime, [WaitingJob(0, b'"a"')])

    assert [Staged(["a", "MainThread"], 1.0)] == staged


def test_the_costs_of_a_whole_batch_are_known_before_it_is_chosen(rig: Rig) -> None:
    rig.put("xxxxxxxx", "y", "xxxxxxxx", "y", "xxxxxxxx", "y", "xxxxxxxx", "y")

    wanted = rig.inbox.take(rig.models.limits)

    assert isinstance(wanted, Wanted)
    assert [0, 1, 2, 3] == sorted({job.slot for job in wanted.jobs})
    assert [0, 2] == [job.slot for job in rig.batch().jobs]


def test_of_a_job_that_was_called_off_while_it_was_prepared_nothing_is_kept(rig: Rig) -> None:
    rig.put("a", "b")
    wanted = rig.inbox.take(rig.models.limits)
    assert isinstance(wanted, Wanted)

    rig.inbox.put([Frame.DROP, [0]])
    rig.preparer.stage_waiting(wanted.ref, wanted.jobs)

    assert [False, True] == [rig.inbox.is_staged(slot) for slot in (0, 1)]


def test_an_input_that_is_refused_gets_its_result_with_its_batch(rig: Rig) -> None:
    rows = [[slot, raw, 1, math.inf, False, b"", None] for slot, raw in enumerate((b'"a"', b"7"))]
    rig.inbox.put([Frame.JOBS, REF, False, rows])

    batches = [rig.ended(rig.batch())]
    while sum(len(ended.slots) for ended in batches) < 2:
        batches.append(rig.ended(rig.batch()))
    for ended in batches:
        rig.finisher.finish(ended)

    results = {
        slot: row[1]
        for _, slots, rows, _ in rig.told()
        for slot, row in zip(slots, rows, strict=True)  # type: ignore[call-overload] # a message is a list of anything
    }
    assert {0: None, 1: "input"} == results


def test_passes_that_were_handed_over_are_told_in_order_and_before_the_next(threads: Rig) -> None:
    threads.put("a")
    first = threads.ended(threads.batch())
    threads.put("b", first_slot=7)
    second = threads.ended(threads.batch())

    threads.finisher.hand_over(first)
    threads.finisher.finish(second)

    told = threads.told()
    assert [[0], [7]] == [message[1] for message in told]
    assert ["finisher", "MainThread"] == [threads_of(message[2][0])[-1] for message in told]  # type: ignore[index] # as above


def test_the_report_of_a_pass_says_what_was_counted(rig: Rig) -> None:
    rig.put("abcd", "abc", "abcd")

    rig.finisher.finish(rig.ended(rig.batch()))

    [[_, _, _, report]] = rig.told()
    assert isinstance(report, list)
    expected = PassReport(0.25, 0.5, cost=12.0, items=3, runs=1, padding=1.0, costs=[4.0, 4.0, 3.0])
    assert expected == PassReport(*report)


def test_suspects_are_told_from_others(rig: Rig) -> None:
    rig.put("a", alone=True)
    suspect = rig.batch()
    rig.put("b", first_slot=1)
    other = rig.batch()

    assert (True, False) == (rig.inbox.runs_alone(suspect), rig.inbox.runs_alone(other))


def test_a_load_comes_before_everything_and_nothing_comes_after_the_end(rig: Rig) -> None:
    rig.put("a")
    rig.inbox.put([Frame.LOAD, "other@3", b"state", True])

    assert Load("other@3", b"state", spares=True) == rig.inbox.take(rig.models.limits)
    assert rig.inbox.has_more
    rig.inbox.put([Frame.FINISH])
    rig.put("b", first_slot=1)
    assert rig.inbox.take(rig.models.limits) is None
    assert not rig.inbox.has_more


def test_what_was_learned_of_a_version_is_told_at_times_and_believed_elsewhere(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.put(*["abc"] * 80)
    for _ in range(20):
        ended = rig.ended(rig.batch())
        rig.models.learn(REF, ended.forwarded, 0.01 * ended.forwarded.items)
    costs = rig.models.limits[REF].costs

    assert rig.models.state_to_tell(REF) is None
    moment = time.monotonic() + 60
    monkeypatch.setattr(time, "monotonic", lambda: moment)
    state = rig.models.state_to_tell(REF)
    assert state is not None
    rig.models.load(REF, state)

    assert costs.t(12.0) > 0
    assert rig.models.limits[REF].costs.t(12.0) == pytest.approx(costs.t(12.0))


def test_what_cannot_be_read_of_what_was_learned_is_learned_anew(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.models.load(REF, b"[1]")

    assert "learned anew" in caplog.text
    assert 0 == rig.models.limits[REF].costs.t(10.0)


def test_marks_outlive_the_process_that_made_them() -> None:
    fd, marks = make_marks()
    code = f"""
import os, signal
from workers.stage_marks import Stage, StageMarks
marks = StageMarks({fd})
marks.together([12, 14, 15])
marks.at(Stage.FINISH, 13)
marks.clear(Stage.FINISH)
os.kill(os.getpid(), signal.SIGKILL)
"""

    subprocess.run([sys.executable, "-c", code], pass_fds=(fd,), check=False)

    assert {Stage.PREPARE: 12} == marks.slots() == StageMarks(fd).slots()
    assert {12, 14, 15} == marks.in_hand()


def test_of_a_stage_that_has_nothing_in_its_hands_no_job_is_left() -> None:
    _, marks = make_marks()
    marks.together([12, 14, 15])

    marks.clear(Stage.PREPARE)
    marks.at(Stage.FINISH, 16)

    assert {16} == marks.in_hand()


def loads_of(rig: Rig) -> ChildLoads:
    """How models come into the child of this rig, and go."""
    memory = MemoryMeter("cpu")
    return ChildLoads(up=rig.up, models=rig.models, memory=memory, finish=lambda: None, progressed=lambda *_: None)


def test_a_version_that_is_loaded_anew_lets_go_of_its_former_self_first(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside: list[object] = []
    load = rig.models.load

    def noting(ref: str, state: bytes) -> Runtime:
        beside.append(rig.models.get(ref))
        return load(ref, state)

    monkeypatch.setattr(rig.models, "load", noting)

    loads_of(rig).load(Load(REF, b""))

    assert [None] == beside
    assert {} == vars(rig.runtime)
    assert rig.models.get(REF) is not None
    assert [Frame.LOADED] == [message[0] for message in rig.told()]


def test_a_version_that_cannot_be_loaded_anew_is_gone_and_the_parent_is_told_what_is_in_use(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Runtime, "load", classmethod(lambda *_, **__: 1 / 0))

    loads_of(rig).load(Load(REF, b""))

    [[kind, ref, error, used_bytes]] = rig.told()
    assert (Frame.REFUSED, REF, "ZeroDivisionError: division by zero") == (kind, ref, error)
    assert isinstance(used_bytes, int)
    assert used_bytes > 0
    assert rig.models.get(REF) is None


def test_a_child_whose_reader_fails_ends(tmp_path: Path) -> None:
    down, parent = os.pipe()
    _, up = os.pipe()
    marks, _ = make_marks()
    # 0xc1 begins no message.
    os.write(parent, b"\x00\x00\x00\x01\xc1")
    places = [(tmp_path / "registry").as_uri(), "", str(tmp_path / "cache")]
    command = [sys.executable, "-m", "workers.child", *map(str, (down, up, marks)), *places, "1", "0", "cpu", "1"]

    # The parent's end stays open: nothing but the failure can end it.
    ended = subprocess.run([*command, "INFO", "text"], pass_fds=(down, up, marks), check=False, timeout=60)

    assert 1 == ended.returncode
