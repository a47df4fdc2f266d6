"""Reporter: hands on what models say of how far their items are, beside the pass; started by the first word of any."""

import math
import threading
import time
from typing import BinaryIO

from headrace.failpoints import failpoint
from headrace.jobs import MAX_VALUE_BYTES
from workers.frames import Frame, encode
from workers.vital_thread import start_vital

#: A model may say it as often as it likes; the parent hears the newest of each job so often, of shorter passes nothing.
_INTERVAL_S = 0.1


class Reporter:
    """May be told by any thread; what it is told costs the pass about a microsecond."""

    def __init__(self, *, up: BinaryIO) -> None:
        self._up = up
        self._lock = threading.Lock()
        self._newest: dict[int, tuple[float, str]] = {}
        self._has_news = threading.Event()
        self._is_started = False

    def heard(self, slot: int, fraction: float, message: str) -> None:
        """A model says how far a job is; what is no number says nothing."""
        fraction = float(fraction)
        if math.isnan(fraction):
            return
        with self._lock:
            self._newest[slot] = min(max(fraction, 0.0), 1.0), message
            is_first, self._is_started = not self._is_started, True
        if is_first:
            start_vital("reporter", self._run)
        if not self._has_news.is_set():
            self._has_news.set()

    def forget(self) -> None:
        """The pass is over, and with it all that was said of it."""
        if self._newest:
            self._take()

    def _take(self) -> dict[int, tuple[float, str]]:
        with self._lock:
            newest, self._newest = self._newest, {}
            return newest

    def _run(self) -> None:
        while self._has_news.wait():
            time.sleep(_INTERVAL_S)
            self._has_news.clear()
            if newest := self._take():
                failpoint("child.before_progress")
                said = [(slot, fraction, _clipped(message)) for slot, (fraction, message) in newest.items()]
                self._up.write(encode(Frame.PROGRESSED, said))
                self._up.flush()


def _clipped(message: object) -> str:
    """As much as a record takes, and no half letters."""
    return str(message).encode(errors="replace")[:MAX_VALUE_BYTES].decode(errors="ignore")
