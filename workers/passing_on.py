"""PassingOn: jobs that are too large for this worker's memory go to a worker class with more of it, if there is one."""

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

from headrace.groups import group_of
from headrace.jobs import Cause, Reason
from headrace.model_ref import ModelRef
from headrace.store import JobStore
from headrace.store_work import Failure
from headrace.tiers import Tier
from workers.held_jobs import HeldJob
from workers.wire import Wire

log = logging.getLogger("headrace.path")


class TooLarge(NamedTuple):
    """A job that is passed on, with what its pass said of it; None if it was not run, since it would have failed."""

    held: HeldJob
    document: bytes | None


class PassingOn:
    """Of one worker.

    Args:
        wire: to the records.
        store: makes the operations.
        size_bytes: memory that this worker's models may use; 0: nobody knows, and nothing is passed on.
        tiers: that it serves.
        has_larger: tells whether a class with more could run the jobs of a group.
        result_ttl_s: how long the ends are kept of those that have no attempt left.
    """

    def __init__(
        self,
        *,
        wire: Wire,
        store: JobStore,
        size_bytes: int,
        tiers: Sequence[Tier],
        has_larger: Callable[[str], bool],
        result_ttl_s: int,
    ) -> None:
        self._wire = wire
        self._store = store
        self._size_bytes = size_bytes
        self._tiers = tiers
        self._has_larger = has_larger
        self._result_ttl_s = result_ttl_s

    def can_all(self, ref: str) -> bool:
        """Tell whether any job of a version could be passed on, whatever its tier."""
        groups = [group_of(ModelRef.parse(ref), tier) for tier in self._tiers]
        return self._size_bytes > 0 and all(map(self._has_larger, groups))

    def concerns(self, held: HeldJob, *, ok: bool, cause: str | None) -> bool:
        """Tell whether a job that ended so is not over."""
        if ok or cause is None:
            return not ok
        return cause == Cause.OOM and self._size_bytes > 0 and self._has_larger(held.group)

    def pass_on(self, jobs: Sequence[TooLarge]) -> None:
        """Give jobs to larger workers; those that ran are charged an attempt, and end if it was the last."""
        failures = [
            Failure(held.job.lease, Cause.OOM, 0, document, self._size_bytes)
            for held, document in jobs
            if document is not None
        ]
        unrun = [held.job.lease for held, document in jobs if document is None]
        if failures:
            log.info("%s jobs ran out of memory, each alone: a larger worker is to run them", len(failures))
            op = self._store.fail(failures, result_ttl_s=self._result_ttl_s)
            self._wire.send(op, lambda _: None, self._failed)
        if unrun:
            log.info("%s jobs would run out of memory here: a larger worker is to run them", len(unrun))
            release = self._store.release(unrun, reason=Reason.NEEDS_LARGER_WORKER, outgrown_bytes=self._size_bytes)
            self._wire.send(release, lambda _: None, self._failed)

    def _failed(self, error: Exception) -> None:
        # Their leases run out, and they come back as they were.
        log.warning("jobs could not be passed on to larger workers: %s", error)
