"""Claimer: takes jobs when the policy says so, and parks at the bell when there are none.

While the worker has nothing at all, its next claim lies ready at the server, behind the wait at the bell: whoever rings
sets it off, and the jobs come with the ring instead of a round trip after it.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from headrace.failpoints import failpoint
from headrace.groups import split_group
from headrace.redis_op import RedisOp
from headrace.store import JobStore
from headrace.store_work import Claimed, ClaimedJob
from headrace.tiers import Tier
from workers.bell import Bell
from workers.claim_policy import ClaimPlan
from workers.loop import Loop, Timer
from workers.wire import Wire

log = logging.getLogger("headrace.claimer")

#: A timer that is due later than wanted by less than this is left as it is.
_SOONER_S = 0.0005


@dataclass(frozen=True, kw_only=True)
class ClaimTerms:
    """What every claim of this worker says."""

    worker: str
    lease_ms: int


class Sent(NamedTuple):
    """A claim that was answered; times are monotonic seconds. `planned_at` is when it was decided on."""

    plan: ClaimPlan
    planned_at: float
    at: float
    #: True if it lay ready until somebody rang; its times are those of its answer.
    is_ahead: bool = False
    #: True if it has left jobs for the next.
    has_more: bool = False


class Claimer:
    """One claim at a time.

    Args:
        plan: answers how many jobs to claim, and when.
        on_jobs: given the claimed jobs, each with its group, and the claim; also if there were none.
    """

    def __init__(
        self,
        *,
        wire: Wire,
        bell: Bell,
        store: JobStore,
        terms: ClaimTerms,
        plan: Callable[[], ClaimPlan],
        on_jobs: Callable[[list[tuple[ClaimedJob, str]], Sent], None],
    ) -> None:
        self._wire = wire
        self._bell = bell
        self._store = store
        self._terms = terms
        self._plan = plan
        self._on_jobs = on_jobs
        self._loop: Loop | None = None
        self._timer: Timer | None = None
        self._due_at = 0.0
        #: When the timer was set first for the claim that it is about.
        self._planned_at: float | None = None
        self._groups: tuple[str, ...] = ()
        self._urgent: tuple[str, ...] = ()
        self._spare: tuple[str, ...] = ()
        self._stopped = False
        self._is_under_way = False
        self.claims = 0

    def attach(self, loop: Loop) -> None:
        """Go on with this loop; timers of the one before are void."""
        self._loop = loop
        self._timer = None

    def serve(self, groups: tuple[str, ...], spare: tuple[str, ...] = ()) -> None:
        """Claim from these groups from now on, and from the spare ones when nothing is in them."""
        if (groups, spare) != (self._groups, self._spare):
            self._groups, self._spare = groups, spare
            self._urgent = tuple(group for group in groups if split_group(group)[1] is Tier.PRIORITY)
            self._end_wait()

    def _end_wait(self) -> None:
        if self._bell.is_parked and self._wire.is_open:
            self._wire.send(self._bell.wake_op(), lambda _: None, self._claim_failed)

    def stop(self) -> None:
        """Claim no more; what lies ready is set off, and its jobs come before `is_claiming` is False."""
        self._stopped = True
        if self._bell.is_followed:
            self._end_wait()

    def lost(self) -> None:
        """The connection is gone, and the claim under way with it: its lease will run out."""
        self._is_under_way = False

    @property
    def is_claiming(self) -> bool:
        """True while jobs may come that nobody here knows of yet."""
        return self._is_under_way or self._bell.is_followed

    @property
    def _may_claim(self) -> bool:
        return not (self._stopped or self.is_claiming) and self._wire.is_open and bool(self._groups or self._spare)

    def look(self) -> None:
        """Claim now, later or not, as the plan says; at the bell, see to it that the next claim lies ready."""
        if not self._may_claim:
            return None
        if self._bell.is_parked:
            return self._lay_ready()
        plan = self._plan()
        groups = self._urgent if plan.is_urgent else self._groups or self._spare
        if plan.size.most <= 0 or not groups:
            return None
        if plan.wait_s <= 0:
            return self._claim(plan, groups)
        return self._wait(plan.wait_s)

    def _lay_ready(self) -> None:
        if not self._bell.may_be_followed:
            return
        plan, groups = self._plan(), self._groups or self._spare
        if plan.is_idle:
            op = self._op(plan, groups)
            self._bell.follow(op, lambda claimed: self._rung(claimed, groups, plan), self._claim_failed)

    def _rung(self, claimed: Claimed, groups: tuple[str, ...], plan: ClaimPlan) -> None:
        now = time.monotonic()
        self.claims += 1
        self._claimed(claimed, groups, Sent(plan, now, now, is_ahead=True, has_more=claimed.more))

    def _wait(self, wait_s: float) -> None:
        now = time.monotonic()
        if self._timer is not None and self._due_at > now + wait_s + _SOONER_S:
            self._timer.cancel()
            self._timer = None
        if self._timer is None and self._loop is not None:
            self._planned_at = self._planned_at or now
            self._due_at = now + wait_s
            self._timer = self._loop.call_later(wait_s, self._time_has_come)

    def _time_has_come(self) -> None:
        self._timer = None
        self.look()
        if self._timer is None:
            self._planned_at = None

    def _claim(self, plan: ClaimPlan, groups: tuple[str, ...]) -> None:
        now = time.monotonic()
        sent, self._planned_at = Sent(plan, self._planned_at or now, now), None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._is_under_way = True
        self.claims += 1
        op = self._op(plan, groups)
        self._wire.send(op, lambda claimed: self._claimed(claimed, groups, sent), self._claim_failed)

    def _op(self, plan: ClaimPlan, groups: tuple[str, ...]) -> RedisOp[Claimed]:
        op = self._store.claim(worker=self._terms.worker, groups=groups, size=plan.size, lease_ms=self._terms.lease_ms)
        failpoint("worker.before_claim")
        return op

    def _claimed(self, claimed: Claimed, groups: tuple[str, ...], sent: Sent) -> None:
        failpoint("worker.claimed")
        self._is_under_way = False
        if self._goes_on(claimed, groups, sent):
            self._claim(sent.plan, self._spare)
            return
        # To the child first, then to the bell.
        if sent.has_more != claimed.more:
            sent = sent._replace(has_more=claimed.more)
        self._on_jobs([(job, groups[job.group]) for job in claimed.jobs], sent)
        if not (claimed.more or sent.plan.is_urgent or self._stopped):
            self._park(groups, claimed.come_back_ms)
        # At the bell and with jobs there is nothing to plan before their end, which looks again.
        if not (claimed.jobs and self._bell.is_parked):
            self.look()

    def _park(self, groups: tuple[str, ...], come_back_ms: int) -> None:
        """Wait at the bells, unless there is more to look at: what is for spare time, or is served only since then."""
        if groups == (self._spare or self._groups):
            self._bell.park(self._groups + self._spare, come_back_ms=come_back_ms)

    def _goes_on(self, claimed: Claimed, groups: tuple[str, ...], sent: Sent) -> bool:
        """Tell whether what is for spare time comes next: nothing else waited."""
        is_done = bool(claimed.jobs or claimed.more) or sent.plan.is_urgent or self._stopped
        return not is_done and groups == self._groups and bool(self._spare) and self._wire.is_open

    def _claim_failed(self, error: Exception) -> None:
        log.error("a claim failed: %s", error)
        self._is_under_way = False
