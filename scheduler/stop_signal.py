"""StopSignal: SIGTERM, SIGINT and SIGHUP as something that a loop waits for."""

import os
import select
import signal
import time
from collections.abc import Callable
from types import FrameType

#: A second signal this soon is the same wish: a Ctrl-C reaches us and also whoever started us, who may pass it on.
_ECHO_S = 0.5


class StopSignal:
    """Counts requests to stop and ends waits at once.

    A pipe carries the news: an Event's lock could be held by the very wait that a signal handler interrupts.

    Args:
        clock: monotonic, in seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._heard_at = float("-inf")
        #: How often somebody asked.
        self.count = 0
        self._reader, self._writer = os.pipe()

    def listen(self) -> None:
        """Take over the signals; only from the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            # Started with nohup, a closed terminal is to mean nothing.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._on_signal)

    def request(self) -> None:
        """Ask for a stop from within the program."""
        self.count += 1
        os.write(self._writer, b"!")

    def wait(self, timeout_s: float, *others: int) -> bool:
        """Wait until a stop is asked for or one of the other descriptors can be read, at most `timeout_s`.

        True if a stop was asked for.
        """
        if self.count == 0:
            select.select([self._reader, *others], [], [], max(0.0, timeout_s))
        return self.count > 0

    def close(self) -> None:
        """Give the pipe back; the signals stay as they are."""
        os.close(self._reader)
        os.close(self._writer)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._clock() - self._heard_at > _ECHO_S:
            self._heard_at = self._clock()
            self.request()
