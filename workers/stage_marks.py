"""StageMarks: which job each stage of the child is at, in memory that outlives the child.

The parent is told of a pass before it begins, unless that would cost more than the pass (`opening`), but not of each
input that is decoded beside it: a message an item would cost more than the work. If the child dies, what it had in its
hands is read here; if a stage does not get on, it shows.
"""

import mmap
import os
from array import array
from collections.abc import Sequence
from enum import IntEnum

_BYTES = mmap.PAGESIZE
_NOBODY = -1
#: Where the page says how many jobs inputs are prepared of together, and which; the first of them is the stage's own.
_COUNT, _TOGETHER = 8, 9
#: So many jobs have room there.
MOST_TOGETHER = 256


class Stage(IntEnum):
    """What may be under way without having been told: stages beside the forward pass, and a pass of a single job."""

    PREPARE = 0
    FINISH = 1
    PASS = 2


class StageMarks:
    """A page that both processes see. `fd` stays open as long as somebody wants to hand it on.

    Args:
        fd: of a memory file made by `make_marks`.
    """

    def __init__(self, fd: int) -> None:
        self._slots = memoryview(mmap.mmap(fd, _BYTES)).cast("q")

    def at(self, stage: Stage, slot: int) -> None:
        """A stage begins with a job."""
        self._slots[stage] = slot

    def together(self, slots: Sequence[int]) -> None:
        """The inputs of these, `MOST_TOGETHER` at most, are prepared in one call."""
        self._slots[_TOGETHER : _TOGETHER + len(slots)] = memoryview(array("q", slots))
        self._slots[_COUNT], self._slots[Stage.PREPARE] = len(slots), slots[0]

    def clear(self, stage: Stage) -> None:
        """A stage has nothing in its hands."""
        self._slots[stage] = _NOBODY
        if stage is Stage.PREPARE:
            self._slots[_COUNT] = 0

    def slots(self) -> dict[Stage, int]:
        """The jobs that stages are at."""
        return {stage: slot for stage in Stage if (slot := self._slots[stage]) != _NOBODY}

    def in_hand(self) -> set[int]:
        """All jobs that stages have in their hands."""
        return {*self.slots().values(), *self._slots[_TOGETHER : _TOGETHER + self._slots[_COUNT]]}


def make_marks() -> tuple[int, StageMarks]:
    """A fresh page and the file descriptor by which a child can see it."""
    fd = os.memfd_create("headrace-stages")
    os.ftruncate(fd, _BYTES)
    marks = StageMarks(fd)
    for stage in Stage:
        marks.clear(stage)
    return fd, marks
