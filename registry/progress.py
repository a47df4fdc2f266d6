"""Progress: how far a transfer of a version's files has come, told to whoever watches."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as RichProgress

log = logging.getLogger(__name__)

#: A transfer that is over before that is not worth a line.
_LINE_S = 10.0


class Progress:
    """Watches one transfer; this one says nothing."""

    def begin(self, total_bytes: int) -> None:
        """So much is to come."""

    def moved(self, size_bytes: int) -> None:
        """So much more is there."""


class LoggedProgress(Progress):
    """A line in the log every ten seconds.

    Args:
        name: what is brought.
        clock: answers seconds.
    """

    def __init__(self, *, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._total = self._done = 0
        self._said_at = clock()

    def begin(self, total_bytes: int) -> None:
        """So much is to come."""
        self._total, self._done, self._said_at = total_bytes, 0, self._clock()

    def moved(self, size_bytes: int) -> None:
        """Say how far it is, if the last line is a while ago."""
        self._done += size_bytes
        if self._clock() - self._said_at >= _LINE_S:
            self._said_at = self._clock()
            log.info("%s: %.0f of %.0f MB are here", self._name, self._done / 1e6, self._total / 1e6)


@contextmanager
def progress_bar(label: str) -> Iterator[Progress]:
    """A bar on standard error, if that is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Progress()
        return
    columns = (label, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with RichProgress(*columns, console=console, transient=True) as bar:
        yield _Bar(bar)


class _Bar(Progress):
    def __init__(self, bar: RichProgress) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=None)

    def begin(self, total_bytes: int) -> None:
        """So much is to come."""
        self._bar.update(self._task, total=total_bytes)

    def moved(self, size_bytes: int) -> None:
        """Draw it."""
        self._bar.advance(self._task, size_bytes)
