"""StopSignal: SIGTERM, SIGINT and SIGHUP as something that a loop waits for."""

import os
import select
import signal
from types import FrameType


class StopSignal:
    """Counts requests to stop and ends waits at once.

    A pipe carries the news: an Event's lock could be held by the very wait that a signal handler interrupts.
    """

    def __init__(self) -> None:
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

    def wait(self, timeout_s: float) -> bool:
        """Wait until a stop is asked for, at most `timeout_s`; True if it was."""
        if self.count == 0:
            select.select([self._reader], [], [], max(0.0, timeout_s))
        return self.count > 0

    def close(self) -> None:
        """Give the pipe back; the signals stay as they are."""
        os.close(self._reader)
        os.close(self._writer)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.request()
