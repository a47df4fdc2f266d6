"""What the parent is told of a pass that begins, and when."""

import io
import math

import pytest

from workers.batcher import Batch, WaitingJob
from workers.frames import Decoder, Frame
from workers.opening import Opening
from workers.stage_marks import Stage, make_marks


class Rig:
    """An opening whose pipe is a buffer."""

    def __init__(self) -> None:
        self.up = io.BytesIO()
        _, self.marks = make_marks()
        self.opening = Opening(up=self.up, marks=self.marks)

    def begin(self, *slots: int, expected_s: float, was_idle: bool = True) -> None:
        jobs = [WaitingJob(slot, b"1") for slot in slots]
        self.opening.begin(Batch("m@1", jobs, 1.0, expected_s), was_idle=was_idle)

    def told(self) -> list[list[object]]:
        return list(Decoder().feed(self.up.getvalue()))


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_a_pass_that_should_be_over_in_a_moment_is_marked_and_not_told(rig: Rig) -> None:
    rig.begin(7, expected_s=0.0001)

    assert ([], {Stage.PASS: 7}) == (rig.told(), rig.marks.slots())


def test_of_a_pass_that_was_over_in_a_moment_nothing_is_told_any_more(rig: Rig) -> None:
    rig.begin(7, expected_s=0.0001)

    rig.opening.end()
    rig.opening.tell()

    assert ([], {}) == (rig.told(), rig.marks.slots())


def test_a_pass_that_lasts_longer_than_it_should_is_told_once(rig: Rig) -> None:
    rig.begin(7, expected_s=0.0001)

    rig.opening.tell()
    rig.opening.tell()
    rig.opening.end()

    assert ([[Frame.STARTED, "m@1", [7], 0.0001]], {}) == (rig.told(), rig.marks.slots())


@pytest.mark.parametrize(
    ("slots", "expected_s", "was_idle"),
    [
        pytest.param([7], 0.01, True, id="it takes long"),
        pytest.param([7], 0.0, True, id="nobody knows how long it takes"),
        pytest.param([7], math.nan, True, id="what is known of it is no time"),
        pytest.param([7, 8], 0.0001, True, id="several jobs"),
        pytest.param([7], 0.0001, False, id="something said before is not on its way yet"),
    ],
)
def test_any_other_pass_is_told_before_it_begins(rig: Rig, slots: list[int], expected_s: float, was_idle: bool) -> None:
    rig.begin(*slots, expected_s=expected_s, was_idle=was_idle)

    assert [[Frame.STARTED, slots]] == [[message[0], message[2]] for message in rig.told()]
    assert {} == rig.marks.slots()
