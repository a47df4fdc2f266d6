"""RunLimits: ends jobs that run longer than was asked for them. Their pass goes on for their batch-mates.

A pass that nobody waits for any more goes on for as long as it would take to load its model again, since it may end by
itself; then its process is replaced. So at most twice the lesser of the two is lost (ski rental: Karlin et al., 1988).
"""

from collections.abc import Callable
from typing import Protocol

from headrace.jobs import Cause
from workers.children import Children
from workers.held_jobs import HeldJob, HeldJobs

#: A process takes at least this long to be replaced.
_LEAST_LOAD_S = 1.0


class Fail(Protocol):
    """How jobs are ended."""

    def __call__(self, held: HeldJob, cause: Cause, detail: str, *, took_s: float) -> None:
        """End a held job without a result, after so much of its worker's time."""


class RunLimits:
    """Of one worker.

    Args:
        held: its jobs.
        children: run them.
        load_s: how long it takes to load a version, by its reference.
        fail: ends a job.
    """

    def __init__(self, *, held: HeldJobs, children: Children, load_s: Callable[[str], float], fail: Fail) -> None:
        self._held = held
        self._children = children
        self._load_s = load_s
        self._fail = fail

    def enforce(self, now: float) -> bool:
        """End what is over its limit at `now`, in monotonic seconds; tells whether anything was."""
        if not self._held.overdue(now):
            return False
        # The loop may have stood still: the end of their pass may lie in the pipe unread.
        self._children.hear()
        overdue = self._held.overdue(now)
        for held in overdue:
            detail = f"it ran longer than its run_timeout_s, {held.job.run_timeout_s:g} s, in a batch of {held.mates}"
            self._fail(held, Cause.RUN_TIMEOUT, detail, took_s=(now - held.began_s) / held.mates)
        for held in overdue:
            until = now + max(_LEAST_LOAD_S, self._load_s(held.ref))
            self._children.forsake(held.ref, [held.slot], until)
        return bool(overdue)
