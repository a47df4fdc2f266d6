"""Finisher: turns rows into results (postprocess, encode) and tells the parent, beside the next forward pass."""

import queue
import time
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

from workers.failures import ItemResult
from workers.frames import Frame, PassReport, encode
from workers.opening import Opening
from workers.runtime import Forwarded, Runtime
from workers.stage_marks import Stage, StageMarks
from workers.vital_thread import start_vital


class Ended(NamedTuple):
    """A forward pass that has ended: the jobs of its rows, and what was counted."""

    runtime: Runtime
    slots: list[int]
    forwarded: Forwarded
    took_s: float
    staged_s: float


class Finisher:
    """Works in a thread of its own or in the caller's; passes are told in the order of their ends."""

    def __init__(self, *, up: BinaryIO, marks: StageMarks, opening: Opening) -> None:
        self._up = up
        self._marks = marks
        self._opening = opening
        self._ended: queue.Queue[Ended] = queue.Queue(maxsize=1)

    def start(self) -> None:
        """Start the thread, which ends with the process."""
        start_vital("finisher", self._run)

    def hand_over(self, ended: Ended) -> None:
        """Let the thread finish a pass; waits while it is still at the one before."""
        self._ended.join()
        self._ended.put(ended)

    def finish(self, ended: Ended) -> None:
        """Finish a pass in this thread, after those that were handed over; it is told with the next flush."""
        if self._ended.unfinished_tasks:
            # Only who hands over asks, so none can come meanwhile.
            self._ended.join()
        with ended.runtime.inference():
            began = time.perf_counter()
            # Without marks: the parent knows that this batch is in hand.
            results = [ended.runtime.finish(row) for row in ended.forwarded.rows]
            self._opening.end()
            self._tell(ended, results)
            ended.runtime.finishing.took(len(ended.slots), time.perf_counter() - began)

    def wait(self) -> None:
        """Wait until the thread has nothing in its hands."""
        self._ended.join()

    def _run(self) -> None:
        while True:
            ended = self._ended.get()
            self._finish_beside(ended)
            self._up.flush()
            # Its model may be unloaded while this thread waits for the next one.
            del ended
            self._ended.task_done()

    def _finish_beside(self, ended: Ended) -> None:
        results = []
        began = time.perf_counter()
        with ended.runtime.inference():
            for slot, row in zip(ended.slots, ended.forwarded.rows, strict=True):
                self._marks.at(Stage.FINISH, slot)
                results.append(ended.runtime.finish(row))
        self._tell(ended, results)
        ended.runtime.finishing.took(len(results), time.perf_counter() - began)
        self._marks.clear(Stage.FINISH)

    def _tell(self, ended: Ended, results: Sequence[ItemResult]) -> None:
        self._up.write(encode(Frame.DONE, ended.slots, results, _report(ended)))


def _report(ended: Ended) -> PassReport:
    _, cost, items, runs, padding, costs = ended.forwarded
    return PassReport(ended.took_s, ended.staged_s, cost, items, runs, padding, costs)
