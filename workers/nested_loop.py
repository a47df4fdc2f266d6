"""NestedLoop: the engine's descriptors behind a single one of Celery's loop.

A turn of Celery's loop costs more than most of what the engine does in it, and a job that finds the worker idle needs
five of them: ring, claim, start, end, commit. Here they are turns of a loop of a few lines: after each event it waits
a moment for the next one, which is under way more often than not.
"""

import select
import time

from workers.loop import Callback, Loop, Timer

#: So long after an event the next one is waited for.
_LINGER_S = 0.0005
#: Celery's loop gets its turn after this at the latest.
_LONGEST_S = 0.003


class NestedLoop:
    """A `Loop` on top of another one, whose timers it uses."""

    def __init__(self, outer: Loop) -> None:
        self._outer = outer
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callback] = {}
        outer.add_reader(self._epoll.fileno(), self._on_ready)

    def add_reader(self, fds: int, callback: Callback) -> None:
        """Call back whenever the descriptor can be read."""
        self._watch(fds, select.EPOLLIN, callback)

    def add_writer(self, fds: int, callback: Callback) -> None:
        """Call back whenever the descriptor can be written."""
        self._watch(fds, select.EPOLLOUT, callback)

    def _watch(self, fd: int, events: int, callback: Callback) -> None:
        self._forget(fd)
        self._epoll.register(fd, events)
        self._callbacks[fd] = callback

    def _forget(self, fd: int) -> None:
        if self._callbacks.pop(fd, None) is not None:
            try:
                self._epoll.unregister(fd)
            except (OSError, ValueError):
                return  # it was closed, or the loop is

    remove_reader = _forget
    remove_writer = _forget

    def call_later(self, delay: float, callback: Callback) -> Timer:
        """Call back once after `delay` seconds."""
        return self._outer.call_later(delay, callback)

    def _on_ready(self) -> None:
        until = time.monotonic() + _LONGEST_S
        while not self._epoll.closed and (events := self._epoll.poll(_LINGER_S)):
            for fd, _ in events:
                if (callback := self._callbacks.get(fd)) is not None:
                    callback()
            if time.monotonic() >= until:
                return

    def close(self) -> None:
        """Let go of the outer loop and of everything watched."""
        if not self._epoll.closed:
            self._outer.remove_reader(self._epoll.fileno())
            self._callbacks.clear()
            self._epoll.close()
