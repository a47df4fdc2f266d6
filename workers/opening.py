"""Opening: how the parent comes to know that a forward pass begins.

It is told before the pass: a crash in it must have suspects, and a pass that lasts is noted in the records. But to tell
it wakes it, which costs both sides as much as a small pass. So of a single job that an idle child should be done with
in a moment only the page of marks says that its pass has begun, and its end says the rest. If it takes longer, the
parent is told after all: by the reader, or, if that does not come to it, by the marks when it looks at them.
"""

import threading
from typing import BinaryIO

from workers.batcher import Batch
from workers.frames import Frame, encode
from workers.stage_marks import Stage, StageMarks

#: A pass that is expected to be shorter than this is over in a moment: to tell of it takes about a fifth of that.
_MOMENT_S = 0.0005


class Opening:
    """Of one pass after the other. The main thread begins and ends them, the reader may tell of one meanwhile."""

    def __init__(self, *, up: BinaryIO, marks: StageMarks) -> None:
        self._up = up
        self._marks = marks
        self._lock = threading.Lock()
        self._untold: Batch | None = None

    def begin(self, batch: Batch, *, was_idle: bool) -> None:
        """A pass begins; somebody must call `tell` if it lasts.

        Args:
            batch: what is in it.
            was_idle: whether all that was said before is on its way.
        """
        if was_idle and len(batch.jobs) == 1 and 0 < batch.expected_s < _MOMENT_S:
            self._marks.at(Stage.PASS, batch.jobs[0].slot)
            self._untold = batch
        else:
            self._say(batch)

    def tell(self) -> None:
        """Tell of the pass under way, if that has not been done."""
        with self._lock:
            if self._untold is not None:
                self._say(self._untold)
                self._drop()

    def end(self) -> None:
        """Its end is said next, which says that it has begun as well."""
        with self._lock:
            if self._untold is not None:
                self._drop()

    def _drop(self) -> None:
        self._untold = None
        self._marks.clear(Stage.PASS)

    def _say(self, batch: Batch) -> None:
        self._up.write(encode(Frame.STARTED, batch.ref, [job.slot for job in batch.jobs], batch.expected_s))
        # Before the pass, or a crash in it had no suspects. What the pass before said goes out in the same write.
        self._up.flush()
