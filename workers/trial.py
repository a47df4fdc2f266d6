"""Trial: runs suspects alone, one after another, each recorded as begun before it can do any harm.

So a job that brings the whole worker down is charged an attempt every time, and is given up when none is left.
"""

import logging
from collections.abc import Callable

from headrace.store import JobStore
from workers.held_jobs import HeldJob, HeldJobs
from workers.wire import Wire

log = logging.getLogger("headrace.trial")


class Trial:
    """Hands suspects to the child.

    Args:
        wire: to the records.
        store: makes the operations.
        held: the jobs, and who of them is suspected.
        may_run: tells whether a job's model is ready.
        run: sends a job to the child.
    """

    def __init__(
        self,
        *,
        wire: Wire,
        store: JobStore,
        held: HeldJobs,
        may_run: Callable[[HeldJob], bool],
        run: Callable[[HeldJob], None],
    ) -> None:
        self._wire = wire
        self._store = store
        self._held = held
        self._may_run = may_run
        self._run = run
        #: Who is being recorded, and how often anybody was: an answer that is not to the last call counts no more.
        self._unrecorded: HeldJob | None = None
        self._calls = 0

    def proceed(self) -> None:
        """Take the next suspect, unless one is out; harmless at any time."""
        if self._held.suspects:
            slot = self._held.suspects.next(self._is_ready)
            held = None if slot is None else self._held.get(slot)
            if held is not None:
                self._record(held)

    def resume(self) -> None:
        """The connection is new, and what was under way on the old one stays unanswered: ask again."""
        if self._unrecorded is not None and self._held.suspects.is_tried(self._unrecorded.slot):
            self._record(self._unrecorded)

    def _is_ready(self, slot: int) -> bool:
        held = self._held.get(slot)
        return held is not None and self._may_run(held)

    def _record(self, held: HeldJob) -> None:
        self._unrecorded = held
        self._calls += 1
        call = self._calls
        self._wire.send(
            self._store.start([held.job.lease]),
            lambda ours: self._recorded(held, call, ours=ours[0]),
            lambda error: self._not_recorded(held, call, error),
        )

    def _not_recorded(self, held: HeldJob, call: int, error: Exception) -> None:
        log.warning("the start of a suspect was not recorded: %s", error)
        self._recorded(held, call, ours=True)

    def _recorded(self, held: HeldJob, call: int, *, ours: bool) -> None:
        # Meanwhile its process may have died, or its lease been lost.
        if call != self._calls or not self._held.suspects.is_tried(held.slot):
            return
        self._unrecorded = None
        if ours:
            self._run(held)
        else:
            self._held.remove(held.slot)
            self.proceed()
