"""Bytes on their way into a descriptor that must not block."""

import os
from collections import deque

from workers.loop import Loop


class Outbox:
    """Writes what it can at once and the rest when the loop says so.

    Args:
        fd: a non-blocking descriptor that nothing else is watched on.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._loop: Loop | None = None
        self._queue: deque[memoryview] = deque()

    def attach(self, loop: Loop) -> None:
        """Go on with this loop."""
        self._loop = loop
        if self._queue:
            loop.add_writer(self._fd, self._on_writable)

    def detach(self) -> None:
        """Leave the loop; what is queued stays."""
        if self._loop is not None:
            self._loop.remove_writer(self._fd)
            self._loop = None

    def send(self, data: bytes) -> None:
        """Queue bytes and write as much as fits.

        Raises:
            OSError: if the other end is gone.
        """
        if self._queue:
            self._queue.append(memoryview(data))
            return
        written = self._write(memoryview(data))
        if written < len(data):
            self._queue.append(memoryview(data)[written:])
            if self._loop is not None:
                self._loop.add_writer(self._fd, self._on_writable)

    def flush(self) -> None:
        """Write as much of the queue as fits.

        Raises:
            OSError: if the other end is gone.
        """
        queue = self._queue
        while queue:
            written = self._write(queue[0])
            if written < len(queue[0]):
                queue[0] = queue[0][written:]
                return
            queue.popleft()
        if self._loop is not None:
            self._loop.remove_writer(self._fd)

    def _on_writable(self) -> None:
        try:
            self.flush()
        except OSError:
            # The reading side of the same connection notices too, and acts.
            self.detach()

    def _write(self, view: memoryview) -> int:
        try:
            return os.write(self._fd, view)
        except BlockingIOError:
            return 0
