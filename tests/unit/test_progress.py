"""What a model says of how far its items are, on its way through child and parent."""

import io
import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.commands.jobs import _job_row
from headrace.job_record import JobRecord
from headrace.keys import Keys
from headrace.model import Model
from headrace.store import JobStore
from headrace.store_work import ClaimedJob
from tests.model_folder import load_model
from workers.frames import Decoder, Frame
from workers.held_jobs import HeldJob, HeldJobs
from workers.progress import ProgressNotes
from workers.reporter import Reporter
from workers.runtime import Runtime

#: Says of each item how far it is; cannot run one that is bad.
SOURCE = """
from headrace.model import Model

class Steps(Model, max_batch=8):
    def forward(self, batch: list[str]) -> list[str]:
        for place, word in enumerate(batch):
            self.progress(place, 0.5, word)
        self.progress(len(batch), 0.5, "nobody")
        self.progress(-1, 0.5, "nobody")
        if "bad" in batch:
            raise ValueError("told to")
        return batch
"""


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return load_model(tmp_path, SOURCE)


def heard(runtime: Runtime, *inputs: bytes) -> list[tuple[int, float, str]]:
    said: list[tuple[int, float, str]] = []
    runtime.listen(lambda *words: said.append(words))
    runtime.run(inputs)
    return said


# --- the author's side ---------------------------------------------------------------------------------------


def test_without_a_listener_saying_it_does_nothing() -> None:
    Model().progress(0, 0.5, "alone")


def test_places_are_those_of_the_batch(runtime: Runtime) -> None:
    assert [(0, 0.5, "a"), (1, 0.5, "b")] == heard(runtime, b'"a"', b'"b"')


def test_inputs_that_were_refused_have_no_place(runtime: Runtime) -> None:
    assert [(1, 0.5, "a"), (3, 0.5, "b")] == heard(runtime, b"7", b'"a"', b"8", b'"b"')


def test_in_a_pass_over_a_part_of_the_batch_places_are_those_of_the_whole(runtime: Runtime) -> None:
    said = heard(runtime, b'"a"', b'"bad"', b'"c"', b'"d"')

    assert {(0, "a"), (1, "bad"), (2, "c"), (3, "d")} == {(place, word) for place, _, word in said if word != "nobody"}


def test_a_model_that_nobody_listens_to_runs_as_ever(runtime: Runtime) -> None:
    assert [b'"a"'] == [result.body for result in runtime.run([b'"a"'])]


# --- the caller's ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (None, ""),
        ({"fraction": 0.4, "message": "denoising", "at": "2030-01-01T00:00:00.000Z"}, "40% denoising"),
        ({"fraction": 1.0, "message": "", "at": "2030-01-01T00:00:00.000Z"}, "100%"),
    ],
)
def test_a_record_says_in_words_how_far_its_job_is(progress: dict[str, Any] | None, words: str) -> None:
    document = {"id": "j", "status": "running", "model": {"name": "m", "version": 1}, "tier": "spot", "error": None}
    document |= {"progress": progress, "reason": None, "times": {"created": "2030-01-01T00:00:00.000Z"}}
    record = JobRecord.from_document(document)

    assert words == record.progress == _job_row(document)[4]
    assert (f"<td>{words}</td>" in record._repr_html_()) == bool(words)


# --- the child's ---------------------------------------------------------------------------------------------


class Pipe(io.BytesIO):
    """What the parent would read."""

    def __init__(self) -> None:
        super().__init__()
        self.is_written = threading.Event()

    def flush(self) -> None:
        self.is_written.set()

    def said(self) -> list[Any]:
        assert self.is_written.wait(60)
        [[kind, said]] = Decoder().feed(self.getvalue())
        assert kind == Frame.PROGRESSED
        return sorted(said)


def test_the_newest_word_of_each_job_goes_up_in_one_frame() -> None:
    pipe = Pipe()
    reporter = Reporter(up=pipe)

    for step in range(1000):
        reporter.heard(1, step / 1000, "going")
        reporter.heard(2, 0.25, "")

    assert [[1, 0.999, "going"], [2, 0.25, ""]] == pipe.said()


@pytest.mark.parametrize(("fraction", "shown"), [(-1, 0.0), (7, 1.0), (math.inf, 1.0)])
def test_a_fraction_is_between_0_and_1(fraction: float, shown: float) -> None:
    pipe = Pipe()

    Reporter(up=pipe).heard(1, fraction, "")

    assert [[1, shown, ""]] == pipe.said()


def test_what_is_no_number_says_nothing() -> None:
    pipe = Pipe()
    reporter = Reporter(up=pipe)

    reporter.heard(1, math.nan, "lost")
    reporter.heard(2, 0.5, "")

    assert [[2, 0.5, ""]] == pipe.said()


def test_a_message_is_cut_where_a_record_ends_and_between_letters() -> None:
    pipe = Pipe()

    Reporter(up=pipe).heard(1, 0.5, "é" * 31 + "xyé")

    assert [[1, 0.5, "é" * 31 + "xy"]] == pipe.said()


def test_what_was_said_of_a_pass_that_is_over_is_forgotten() -> None:
    pipe = Pipe()
    reporter = Reporter(up=pipe)
    reporter.heard(1, 0.5, "")

    reporter.forget()
    reporter.heard(2, 0.5, "")

    assert [[2, 0.5, ""]] == pipe.said()


# --- the parent's --------------------------------------------------------------------------------------------


class Sent:
    """A connection that only notes what is sent."""

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []

    def send(self, op: Any, *_: Callable[..., None]) -> None:
        _, *args = op.args
        self.rows += [(args[i], args[i + 2], args[i + 3]) for i in range(0, len(args), 4)]


class Parent:
    """Two jobs in a pass, and one that waits."""

    def __init__(self) -> None:
        held = HeldJobs()
        self.a, self.b, self.waits = (self._hold(held, name) for name in "abc")
        held.start([self.a.slot, self.b.slot])
        self.held, self.sent = held, Sent()
        wire: Any = self.sent
        self.notes = ProgressNotes(wire=wire, store=JobStore(Keys()), held=held, interval_s=1.0)

    @staticmethod
    def _hold(held: HeldJobs, name: str) -> HeldJob:
        return held.add(ClaimedJob(f"default/{name}", 7, 0, 3, 0, b""), group="m@1:standard")

    def hear(self, held: HeldJob, fraction: float, *, at: float) -> None:
        self.notes.heard([(held.slot, fraction, "")])
        self.notes.note(at)


def test_a_first_word_is_noted_at_once_and_the_newest_of_the_next_when_that_is_due() -> None:
    parent = Parent()

    parent.hear(parent.a, 0.1, at=10.0)
    parent.hear(parent.a, 0.2, at=10.3)
    parent.hear(parent.a, 0.3, at=10.6)
    parent.notes.note(10.9)
    assert [("default/a", 0.1, "")] == parent.sent.rows
    parent.notes.note(11.0)
    parent.notes.note(12.5)

    assert [("default/a", 0.1, ""), ("default/a", 0.3, "")] == parent.sent.rows


def test_each_job_has_an_interval_of_its_own() -> None:
    parent = Parent()

    parent.hear(parent.a, 0.1, at=10.0)
    parent.hear(parent.b, 0.2, at=10.5)

    assert [("default/a", 0.1, ""), ("default/b", 0.2, "")] == parent.sent.rows


def test_nothing_is_noted_of_jobs_that_do_not_run_or_are_gone() -> None:
    parent = Parent()
    parent.held.remove(parent.b.slot)

    parent.hear(parent.waits, 0.1, at=10.0)
    parent.hear(parent.b, 0.1, at=10.0)
    parent.notes.note(20.0)

    assert [] == parent.sent.rows
