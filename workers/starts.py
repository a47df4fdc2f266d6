"""Starts: says in the records, and to whoever watches, that jobs are in a forward pass, if the pass lasts."""

import logging
import time
from collections.abc import Sequence
from typing import NamedTuple

from headrace.failpoints import failpoint
from headrace.store import JobStore
from workers.held_jobs import HeldJob
from workers.loop import Loop, Timer
from workers.view import JobView
from workers.wire import Wire

log = logging.getLogger("headrace.path")

#: A pass shorter than this is committed without having been told to be running: one script less.
_DELAY_S = 0.02


class _Untold(NamedTuple):
    jobs: Sequence[HeldJob]
    began: float
    timer: Timer | None


_NOBODY = _Untold((), 0.0, None)


class Starts:
    """Passes are known by a number; a pass may begin before the one before it was told to have ended."""

    def __init__(self, *, wire: Wire, store: JobStore, view: JobView) -> None:
        self._wire = wire
        self._store = store
        self._view = view
        self._loop: Loop | None = None
        self._untold: dict[int, _Untold] = {}

    def attach(self, loop: Loop) -> None:
        """Go on with this loop; timers of the one before are void."""
        self._loop = loop
        for number, untold in list(self._untold.items()):
            self.begun(number, untold.jobs, now=untold.began)

    def begun(self, number: int, jobs: Sequence[HeldJob], *, now: float) -> None:
        """A pass begins with these, at `now` in monotonic seconds."""
        timer = None if self._loop is None else self._loop.call_later(_DELAY_S, lambda: self._tell(number))
        self._untold[number] = _Untold(jobs, now, timer)

    def ended(self, number: int) -> Sequence[HeldJob]:
        """A pass ended; answers those of its jobs that nobody was told of."""
        untold = self._untold.pop(number, _NOBODY)
        if untold.timer is not None:
            untold.timer.cancel()
        return untold.jobs

    def tell(self) -> None:
        """Tell of all passes now: something will be said of them that only counts once they are known to run."""
        for number in list(self._untold):
            self._tell(number)

    def _tell(self, number: int) -> None:
        jobs, began, _ = self._untold.pop(number, _NOBODY)
        if not jobs:
            return
        self._view.started(jobs)
        failpoint("worker.before_start")
        op = self._store.start([held.job.lease for held in jobs], ago_ms=(time.monotonic() - began) * 1000)
        self._wire.send(op, lambda _: None, self._failed)

    def _failed(self, error: Exception) -> None:
        # The commit makes up for it.
        log.warning("the start of a batch was not recorded: %s", error)
