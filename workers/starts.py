"""Starts: says in the records that jobs are in a forward pass, if the pass lasts."""

import logging
from collections.abc import Sequence

from headrace.failpoints import failpoint
from headrace.store import JobStore
from workers.held_jobs import HeldJob
from workers.loop import Loop, Timer
from workers.wire import Wire

log = logging.getLogger("headrace.path")

#: A pass shorter than this is committed without having been told to be running: one script less.
_DELAY_S = 0.02


class Starts:
    """Passes are known by a number; a pass may begin before the one before it was told to have ended."""

    def __init__(self, *, wire: Wire, store: JobStore) -> None:
        self._wire = wire
        self._store = store
        self._loop: Loop | None = None
        self._timers: dict[int, Timer] = {}

    def attach(self, loop: Loop) -> None:
        """Go on with this loop; timers of the one before are void."""
        self._loop = loop
        self._timers.clear()

    def begun(self, number: int, jobs: Sequence[HeldJob]) -> None:
        """A pass begins with these."""
        if self._loop is not None:
            self._timers[number] = self._loop.call_later(_DELAY_S, lambda: self._tell(number, jobs))

    def ended(self, number: int) -> None:
        """It ended, or will never."""
        if timer := self._timers.pop(number, None):
            timer.cancel()

    def _tell(self, number: int, jobs: Sequence[HeldJob]) -> None:
        self._timers.pop(number, None)
        failpoint("worker.before_start")
        self._wire.send(self._store.start([held.job.lease for held in jobs]), lambda _: None, self._failed)

    def _failed(self, error: Exception) -> None:
        # The commit makes up for it.
        log.warning("the start of a batch was not recorded: %s", error)
