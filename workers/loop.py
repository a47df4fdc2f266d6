"""The event loop of the parent: Celery's hub while the worker runs, `SelectorLoop` while it stops and in tests."""

import heapq
import itertools
import selectors
import time
from collections.abc import Callable
from typing import Any, Protocol

Callback = Callable[..., Any]


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Forget it."""


class Loop(Protocol):
    """What of kombu's hub is used. Reading and writing need two descriptors: the hub keeps one entry for each."""

    def add_reader(self, fds: int, callback: Callback) -> None:
        """Call back whenever the descriptor can be read."""

    def add_writer(self, fds: int, callback: Callback) -> None:
        """Call back whenever the descriptor can be written."""

    def remove_reader(self, fd: int) -> None:
        """Stop watching."""

    def remove_writer(self, fd: int) -> None:
        """Stop watching."""

    def call_later(self, delay: float, callback: Callback) -> Timer:
        """Call back once after `delay` seconds."""


class _Entry:
    """A timer of `SelectorLoop`."""

    def __init__(self, callback: Callback) -> None:
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        self.callback = None


class SelectorLoop:
    """A loop of our own with the same calls."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, _Entry]] = []
        self._order = itertools.count()

    def add_reader(self, fds: int, callback: Callback) -> None:
        """Call back whenever the descriptor can be read."""
        self._watch(fds, selectors.EVENT_READ, callback)

    def add_writer(self, fds: int, callback: Callback) -> None:
        """Call back whenever the descriptor can be written."""
        self._watch(fds, selectors.EVENT_WRITE, callback)

    def _watch(self, fd: int, event: int, callback: Callback) -> None:
        self._forget(fd)
        self._selector.register(fd, event, callback)

    def _forget(self, fd: int) -> None:
        if fd in self._selector.get_map():
            self._selector.unregister(fd)

    remove_reader = _forget
    remove_writer = _forget

    def call_later(self, delay: float, callback: Callback) -> Timer:
        """Call back once after `delay` seconds."""
        entry = _Entry(callback)
        heapq.heappush(self._timers, (time.monotonic() + delay, next(self._order), entry))
        return entry

    def run_until(self, done: Callable[[], bool], *, limit_s: float) -> bool:
        """Run until `done()`, at most `limit_s`; answers whether it was done."""
        end = time.monotonic() + limit_s
        while not done():
            if time.monotonic() >= end:
                return False
            self._turn(end)
        return True

    def _turn(self, end: float) -> None:
        due = min(self._timers[0][0] if self._timers else end, end)
        for key, _ in self._selector.select(max(0.0, due - time.monotonic())):
            if key.fd in self._selector.get_map():
                key.data()
        while self._timers and self._timers[0][0] <= time.monotonic():
            entry = heapq.heappop(self._timers)[2]
            if entry.callback is not None:
                entry.callback()

    def close(self) -> None:
        """Give the selector back."""
        self._selector.close()
