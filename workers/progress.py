"""ProgressNotes: puts what models say of how far jobs are into records: the newest of each, once in an interval."""

import logging

from headrace.failpoints import failpoint
from headrace.store import JobStore
from headrace.store_work import PassProgress
from workers.held_jobs import HeldJobs
from workers.wire import Wire

log = logging.getLogger("headrace.path")


class ProgressNotes:
    """Only words of running jobs count; nothing waits for them, and one that gets lost is made up for by the next.

    Args:
        wire: to Redis.
        store: of the records.
        held: the worker's jobs.
        interval_s: shortest time between two notes of a job.
    """

    def __init__(self, *, wire: Wire, store: JobStore, held: HeldJobs, interval_s: float) -> None:
        self._wire = wire
        self._store = store
        self._held = held
        self._interval_s = interval_s
        self._newest: dict[int, tuple[float, str]] = {}

    def heard(self, said: list[tuple[int, float, str]]) -> None:
        """The child says how far jobs are, by their slots."""
        self._newest |= {slot: (fraction, message) for slot, fraction, message in said}

    def note(self, now: float) -> None:
        """Note what is due at `now`, in monotonic seconds; what came too soon is kept for later."""
        due = []
        for slot, (fraction, message) in list(self._newest.items()):
            held = self._held.get(slot)
            if held is None or not held.running:
                del self._newest[slot]
            elif now - held.noted_s >= self._interval_s:
                held.noted_s = now
                del self._newest[slot]
                due.append(PassProgress(held.job.lease, fraction, message))
        if due:
            failpoint("worker.before_progress")
            self._wire.send(self._store.progress(due), lambda _: failpoint("worker.progressed"), self._failed)

    def _failed(self, error: Exception) -> None:
        log.warning("how far jobs are was not recorded: %s", error)
