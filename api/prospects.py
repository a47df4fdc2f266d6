"""Why a queued job waits, how much is before it, and when it will start and end.

What workers say of themselves is read at most once a second, and so is what other tenants and tiers have before a new
job; a tenant's own queue is known exactly. Each API process learns from the jobs that it accepted how wrong it was.
"""

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

from api.estimates import Waiting
from api.presences import Presences, Roster
from api.tenant_caps import TenantCaps
from headrace.eta import Basis, Estimate, Forecaster
from headrace.groups import group_of, split_group
from headrace.jobs import Job, JobStatus, NewJob, Reason
from headrace.model_ref import ModelRef
from headrace.mux import Mux
from headrace.store import JobStore
from headrace.store_views import Place
from headrace.tiers import Tier

#: Estimates whose jobs have not ended; of more the oldest are forgotten.
_MOST_NOTED = 4096
_FRESH_S = 1.0
#: Nothing runs these jobs as things are, so no place in the queue means anything.
_NOWHERE = frozenset({Reason.NO_COMPATIBLE_WORKER, Reason.QUEUE_PAUSED})


class _Noted(NamedTuple):
    ref: str
    at_s: float
    estimate: Estimate


class Prospects:
    """For all tenants of one process.

    Args:
        mux: carries questions to Redis.
        store: of the cell.
        presences: the workers.
        caps: how many jobs tenants may have.
        monotonic: seconds of a clock that nobody sets.
    """

    def __init__(
        self,
        *,
        mux: Mux,
        store: JobStore,
        presences: Presences,
        caps: TenantCaps,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run = mux.run
        self._store = store
        self._presences = presences
        self._caps = caps
        self._monotonic = monotonic
        #: By `name@version`.
        self.forecasters: dict[str, Forecaster] = {}
        self._noted: dict[str, _Noted] = {}
        #: When it was read what a version's jobs took, and that.
        self._ever: dict[ModelRef, tuple[float, float | None]] = {}
        self._others: dict[tuple[str, str], tuple[float, int]] = {}

    async def of(self, job: Job) -> Waiting:
        """Why a queued job waits, and how long it will."""
        known = self._known_reason(job)
        if known is not None:
            return known
        roster = (await self._presences.roster()).beyond(job.outgrown_bytes)
        reason, detail = roster.explain(job.ref, job.tier)
        if reason in _NOWHERE:
            is_said = bool(job.outgrown_bytes) or reason is Reason.QUEUE_PAUSED
            return Waiting(reason if is_said else job.reason or reason, detail)
        group = group_of(job.ref, job.tier, job.outgrown_bytes)
        place = await self._place(roster, job.tenant, group, job.score, member=job.member)
        if (limited := await self._limited(job.tenant, place.ahead)) is not None:
            return limited
        estimate = await self._estimate(roster, job.ref, job.tier, place.ahead)
        is_told = bool(job.reason) and not job.outgrown_bytes
        return Waiting(job.reason or reason, "" if is_told else detail, place.ahead, self._shown(job.ref, estimate))

    async def of_new(self, job: Job, *, depth: int, score: float) -> Waiting:
        """The same of a job that was stored a moment ago behind `depth` others of its tenant."""
        known = self._known_reason(job)
        if known is not None:
            return known
        roster = await self._presences.roster()
        reason, detail = roster.explain(job.ref, job.tier)
        if reason in _NOWHERE:
            return Waiting(reason, detail)
        if job.fairness_key:
            group = group_of(job.ref, job.tier)
            ahead = (await self._place(roster, job.tenant, group, score, member=job.member)).ahead
        else:
            ahead = depth + await self._others_before(roster, job, score)
        if (limited := await self._limited(job.tenant, ahead)) is not None:
            return limited
        estimate = await self._estimate(roster, job.ref, job.tier, ahead)
        if estimate is not None and estimate.basis is Basis.THROUGHPUT:
            self._note(job, estimate)
        return Waiting(reason, detail, ahead, self._shown(job.ref, estimate))

    async def if_submitted(self, job: NewJob, score: float) -> Waiting:
        """What would be true of a job that nobody has stored, if only its queue decided; `score` is without its key."""
        roster, ref, tier = await self._presences.roster(), job.ref, job.tier
        reason, detail = roster.explain(ref, tier)
        if reason in _NOWHERE:
            return Waiting(reason, detail)
        place = await self._place(roster, job.tenant, group_of(ref, tier), score, key=job.fairness_key)
        estimate = self._shown(ref, await self._estimate(roster, ref, tier, place.ahead))
        return Waiting(reason, detail, place.ahead, estimate)

    async def told_to(self, job: NewJob, waiting: Waiting) -> Waiting:
        """What such a job would be told once it was stored: what it waits for before its queue does."""
        if job.not_before_ms > waiting.now_ms:
            return Waiting(Reason.SCHEDULED, now_ms=waiting.now_ms)
        if waiting.position is None or (limited := await self._limited(job.tenant, waiting.position)) is None:
            return waiting
        return limited._replace(now_ms=waiting.now_ms)

    async def job_s(self, ref: ModelRef) -> float | None:
        """Seconds of a worker that a job takes in a full pass; None until one was run."""
        workers = (await self._presences.roster()).workers
        times = [model.job_s for worker in workers if (model := worker.models.get(str(ref))) and model.job_s]
        return sum(times) / len(times) if times else None

    async def _limited(self, tenant: str, ahead: int) -> Waiting | None:
        """What is true while workers hold as many of a tenant's jobs as may be: nobody knows for how long."""
        most = await self._caps.reached(tenant)
        if most is None:
            return None
        return Waiting(
            Reason.TENANT_LIMIT, f"workers hold {most} jobs of the tenant {tenant}, as many as they may", ahead
        )

    def _note(self, job: Job, estimate: Estimate) -> None:
        if len(self._noted) >= _MOST_NOTED:
            del self._noted[next(iter(self._noted))]
        self._noted[job.member] = _Noted(str(job.ref), self._monotonic(), estimate)

    @property
    def has_noted(self) -> bool:
        """True while there are estimates to learn from, once their jobs have ended."""
        return bool(self._noted)

    def ended(self, member: str, state: str) -> None:
        """A job has ended: if it was estimated here, that is learned from."""
        noted = self._noted.pop(member, None)
        if noted is not None and state in (JobStatus.SUCCEEDED, JobStatus.FAILED):
            self.forecasters[noted.ref].ended(noted.estimate, self._monotonic() - noted.at_s)

    @staticmethod
    def _known_reason(job: Job) -> Waiting | None:
        if job.worker is not None:
            return Waiting(Reason.BATCH_FORMING)
        if job.reason in (Reason.SCHEDULED, Reason.RETRY_BACKOFF):
            return Waiting(job.reason)
        return None

    async def _place(
        self, roster: Roster, tenant: str, group: str, score: float, *, member: str = "", key: str = ""
    ) -> Place:
        # Tiers that nobody serves, or that are paused, are before nobody.
        ref, tier = split_group(group)
        served = (other for other in Tier if roster.serving(ref, other) and not roster.is_paused(ref, other))
        others = [group_of(ref, other) for other in served if other is not tier]
        return await self._run(self._store.place(tenant, group, score, others, member=member, fairness_key=key))

    async def _others_before(self, roster: Roster, job: Job, score: float) -> int:
        group, now = group_of(job.ref, job.tier), self._monotonic()
        key = job.tenant, group
        read_at, others = self._others.get(key, (float("-inf"), 0))
        if now - read_at > _FRESH_S:
            place = await self._place(roster, job.tenant, group, score)
            others = place.ahead - place.own
            self._others[key] = (now, others)
        return others

    async def _estimate(self, roster: Roster, ref: ModelRef, tier: Tier, ahead: int) -> Estimate | None:
        if (pace := roster.pace(ref, tier)) is not None:
            return self.forecasters.setdefault(str(ref), Forecaster()).estimate(pace, ahead)
        if (cold := roster.cold_start(ref, tier)) is None or (job_s := await self._job_s_ever(ref)) is None:
            return None
        return cold.estimate(ahead=ahead, job_s=job_s)

    async def _job_s_ever(self, ref: ModelRef) -> float | None:
        """What a job of a version took of a worker's time, by all that were ever run; None if none was."""
        now, known = self._monotonic(), self._ever.get(ref)
        if known is None or now - known[0] > _FRESH_S:
            counts = await asyncio.gather(*(self._run(self._store.counts(group_of(ref, tier))) for tier in Tier))
            ended = sum(count.ended for count in counts)
            known = self._ever[ref] = (now, sum(count.run_ms for count in counts) / 1000 / ended if ended else None)
        return known[1]

    def _shown(self, ref: ModelRef, estimate: Estimate | None) -> Estimate | None:
        if estimate is None or estimate.basis is Basis.COLD_START:
            return estimate
        return None if self.forecasters[str(ref)].is_bad else estimate
