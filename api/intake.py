"""Intake: refuses jobs that would wait longer than their tier may, or end after their deadline, while there is time."""

import asyncio
import time
from collections.abc import Iterable

from api.presences import Presences
from headrace.admission import Admission, Coming, Sight
from headrace.errors import DeadlineUnattainable, FieldError, HeadraceError, WaitTooLong
from headrace.groups import group_of, outgrown_of, split_group
from headrace.jobs import NewJob
from headrace.model_ref import ModelRef
from headrace.mux import Mux
from headrace.redis_op import RedisOp
from headrace.scaling import ClassScaling, parse_report
from headrace.settings import Settings
from headrace.store import JobStore
from headrace.store_views import QueueDepth
from headrace.tiers import Tier

#: Between two looks jobs are counted that were let in here; other API processes' are not seen for so long.
_FRESH_S = 0.25


class Intake:
    """Of one API process.

    Args:
        settings: with the limits; without any, nothing is asked and nothing refused.
        store: operations of the cell.
        mux: carries them out.
        presences: of the workers.
    """

    def __init__(self, *, settings: Settings, store: JobStore, mux: Mux, presences: Presences) -> None:
        self._limits_s = settings.wait_limits_s
        self._is_strict = settings.strict_deadlines
        self._classes = settings.worker_classes
        self._store = store
        self._mux = mux
        self._presences = presences
        self._admission = Admission()
        #: Queues from which nobody claims.
        self._paused: frozenset[str] = frozenset()
        self._looked_at = float("-inf")
        self._lock = asyncio.Lock()

    @property
    def refuses_none(self) -> bool:
        """True if every job may come at any time: then nobody need ask."""
        return not (self._limits_s or self._is_strict)

    async def refusal_of(self, job: NewJob, *, now_ms: int) -> HeadraceError | None:
        """Why a job should not be accepted now; None if it may be.

        Raises:
            RedisUnavailable: if the queues must be looked at and cannot be.
        """
        if not self._is_bounded(job, now_ms):
            return None
        limit_s = self._limits_s.get(job.tier)
        due_ms = job.deadline_ms if self._is_strict else 0
        await self._look()
        promised_s = self._promised_s(job.ref, job.tier)
        if promised_s is None:
            # Nobody serves it: it says so while it waits, and somebody may come.
            return None
        if due_ms and now_ms + 1000 * (promised_s + self._admission.pass_s(job.ref, job.tier)) > due_ms:
            return _too_late(job, promised_s, (due_ms - now_ms) / 1000)
        if limit_s is not None and promised_s > limit_s:
            return _too_long(job.ref, job.tier, promised_s, limit_s)
        return None

    async def admit(self, job: NewJob, *, now_ms: int) -> HeadraceError | None:
        """The same of a job that is about to be stored: if it may be accepted, it is counted as if it were."""
        refusal = await self.refusal_of(job, now_ms=now_ms)
        if refusal is None and self._is_bounded(job, now_ms) and group_of(job.ref, job.tier) not in self._paused:
            self._admission.let_in(job.ref, job.tier)
        return refusal

    def _is_bounded(self, job: NewJob, now_ms: int) -> bool:
        """Tell whether it depends on its wait if it is accepted: not while its time has not come."""
        has_limit = job.tier in self._limits_s or bool(self._is_strict and job.deadline_ms)
        return has_limit and job.not_before_ms <= now_ms

    async def refusal_of_move(self, ref: ModelRef, tier: Tier) -> WaitTooLong | None:
        """Why a job that waits should not go to this tier now; None if it may, and then it is counted there.

        Raises:
            RedisUnavailable: if the queues must be looked at and cannot be.
        """
        limit_s = self._limits_s.get(tier)
        if limit_s is None:
            return None
        await self._look()
        promised_s = self._promised_s(ref, tier)
        if promised_s is None:
            return None
        if promised_s > limit_s:
            return _too_long(ref, tier, promised_s, limit_s)
        self._admission.let_in(ref, tier)
        return None

    def _promised_s(self, ref: ModelRef, tier: Tier) -> float | None:
        """How long a job waits at most; None if nobody can tell."""
        return None if group_of(ref, tier) in self._paused else self._admission.promised_s(ref, tier)

    async def _look(self) -> None:
        if self._is_fresh():
            return
        async with self._lock:
            if self._is_fresh():
                return
            run, store = self._mux.run, self._store
            # What has outgrown a size of workers is few, and others do it.
            groups = [group for group in await run(store.groups()) if not outgrown_of(group)]
            depths = await run(store.depths(groups)) if groups else []
            counts = await asyncio.gather(*(run(store.counts(group)) for group in groups))
            report = await run(RedisOp(parse_report, ("GET", store.keys.scaling)))
            roster = await self._presences.roster()
            self._paused = frozenset(roster.paused)
            sights = [
                Sight(*split_group(queue.group), self._ahead(queue), count.arrived, count.ended)
                for queue, count in zip(depths, counts, strict=True)
            ]
            now = time.monotonic()
            self._admission.look(sights, roster.workers, list(self._coming(report.classes if report else ())), now)
            self._looked_at = now

    def _ahead(self, queue: QueueDepth) -> int:
        """Jobs that others wait for: those of a queue that is paused are before nobody."""
        return 0 if queue.group in self._paused else queue.depth

    def _is_fresh(self) -> bool:
        return time.monotonic() - self._looked_at < _FRESH_S

    def _coming(self, rows: Iterable[ClassScaling]) -> Iterable[Coming]:
        for row in rows:
            if (kind := self._classes.get(row.worker_class)) is not None and row.count > row.ready:
                yield Coming(kind.tiers, kind.models, row.count - row.ready, row.cold_start_s)


def _too_long(ref: ModelRef, tier: Tier, promised_s: float, limit_s: float) -> WaitTooLong:
    return WaitTooLong(
        f"a job of {ref} in tier {tier} would wait about {promised_s:.1f} s, and may wait {limit_s:g} s; try"
        " again later or in a more urgent tier",
        retry_after_s=max(1.0, promised_s - limit_s),
    )


def _too_late(job: NewJob, promised_s: float, left_s: float) -> DeadlineUnattainable:
    problem = (
        f"is in {left_s:.1f} s, and a job of {job.ref} in tier {job.tier} would wait about {promised_s:.1f} s; give it"
        " more time or a more urgent tier"
    )
    field = FieldError("/options/deadline", problem, "deadline_unattainable")
    return DeadlineUnattainable(f"the deadline {problem}", fields=[field])
