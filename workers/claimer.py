"""Claimer: takes jobs when the policy says so, and parks at the bell when there are none."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from headrace.failpoints import failpoint
from headrace.store import Claimed, ClaimedJob, ClaimSize, JobStore
from workers.bell import Bell
from workers.claim_policy import ClaimPlan
from workers.loop import Loop, Timer
from workers.wire import Wire

log = logging.getLogger("headrace.claimer")


@dataclass(frozen=True, kw_only=True)
class ClaimTerms:
    """What every claim of this worker says."""

    worker: str
    max_bytes: int
    lease_ms: int


class Claimer:
    """One claim at a time.

    Args:
        plan: answers how many jobs to claim, and when.
        on_jobs: given the claimed jobs, each with its group, and the monotonic seconds when their claim was sent.
    """

    def __init__(
        self,
        *,
        wire: Wire,
        bell: Bell,
        store: JobStore,
        terms: ClaimTerms,
        plan: Callable[[], ClaimPlan],
        on_jobs: Callable[[list[tuple[ClaimedJob, str]], float], None],
    ) -> None:
        self._wire = wire
        self._bell = bell
        self._store = store
        self._terms = terms
        self._plan = plan
        self._on_jobs = on_jobs
        self._loop: Loop | None = None
        self._timer: Timer | None = None
        self._groups: tuple[str, ...] = ()
        self._stopped = False
        self.is_claiming = False
        self.claims = 0

    def attach(self, loop: Loop) -> None:
        """Go on with this loop; timers of the one before are void."""
        self._loop = loop
        self._timer = None

    def serve(self, groups: tuple[str, ...]) -> None:
        """Claim from these groups from now on."""
        if groups != self._groups:
            self._groups = groups
            if self._bell.is_parked and self._wire.is_open:
                self._wire.send(self._bell.wake_op(), lambda _: None, self._claim_failed)

    def stop(self) -> None:
        """Claim no more."""
        self._stopped = True

    def lost(self) -> None:
        """The connection is gone, and the claim under way with it: its lease will run out."""
        self.is_claiming = False

    @property
    def _may_claim(self) -> bool:
        idle = not (self._stopped or self.is_claiming or self._bell.is_parked)
        return idle and self._wire.is_open and bool(self._groups)

    def look(self) -> None:
        """Claim now, later or not, as the plan says."""
        if not self._may_claim:
            return
        plan = self._plan()
        if plan.jobs <= 0:
            return
        if plan.wait_s <= 0:
            self._claim(plan.jobs)
        elif self._timer is None and self._loop is not None:
            self._timer = self._loop.call_later(plan.wait_s, self._time_has_come)

    def _time_has_come(self) -> None:
        self._timer = None
        if self._may_claim and (jobs := self._plan().jobs) > 0:
            self._claim(jobs)

    def _claim(self, jobs: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.is_claiming = True
        self.claims += 1
        groups, sent_at = self._groups, time.monotonic()
        op = self._store.claim(
            worker=self._terms.worker,
            groups=groups,
            size=ClaimSize(jobs, jobs, self._terms.max_bytes),
            lease_ms=self._terms.lease_ms,
        )
        failpoint("worker.before_claim")
        self._wire.send(op, lambda claimed: self._claimed(claimed, groups, sent_at), self._claim_failed)

    def _claimed(self, claimed: Claimed, groups: tuple[str, ...], sent_at: float) -> None:
        failpoint("worker.claimed")
        self.is_claiming = False
        if not claimed.more and not self._stopped:
            self._bell.park(groups, come_back_ms=claimed.come_back_ms)
        self._on_jobs([(job, groups[job.group]) for job in claimed.jobs], sent_at)

    def _claim_failed(self, error: Exception) -> None:
        log.error("a claim failed: %s", error)
        self.is_claiming = False
