"""TenantJobs: the jobs of one tenant as they are looked at and waited for."""

import asyncio
from collections.abc import Iterable
from typing import Any, NamedTuple

from api.ends import read_end
from api.estimates import Waiting, retry_after_s
from api.records import job_document
from api.services import Services
from api.waiters import Watch
from headrace.errors import HeadraceError, JobExpired, JobNotFound
from headrace.jobs import Job, JobStatus
from headrace.model_moves import ModelMove, read_moves
from headrace.server_clock import ServerClock, ask_time
from headrace.store_views import Browsed, PastAttempt
from headrace.webhooks import Delivery, delivery_id_of


class Seen(NamedTuple):
    """A job as it was found."""

    job: Job
    #: Set if it is queued.
    waiting: Waiting | None = None
    #: The result, if it was asked for, or the error document of a job that failed.
    output: bytes | None = None
    #: How far its webhook is, if it has one.
    delivery: Delivery | None = None
    #: What led to it, if it was there before: `Idempotency-Replayed` or `Deduplicated`.
    found_by: str = ""
    #: What its submitter noted beside it, JSON.
    metadata: bytes | None = None
    #: How long after its pass began a job whose cancellation was asked for has ended at the latest.
    bound_ms: int = 0
    #: How long it is kept after its end, unless it was to be kept otherwise.
    kept_s: int = 0

    @property
    def is_open(self) -> bool:
        """True while it can still change."""
        return not self.job.status.is_terminal

    @property
    def headers(self) -> dict[str, str]:
        """What an answer with it says besides: while it is open, when it is worth looking again."""
        return {"Retry-After": str(retry_after_s(self.waiting))} if self.is_open else {}

    def document(self) -> dict[str, Any]:
        """As callers see it."""
        return job_document(
            self.job,
            waiting=self.waiting,
            output=self.output,
            delivery=self.delivery,
            metadata=self.metadata,
            bound_ms=self.bound_ms,
            kept_s=self.kept_s,
        )


class Found(NamedTuple):
    """What Redis has of a job: no record, or a record and, if it was read too, its output."""

    job: Job | None
    output: bytes | None = None


class _Watching:
    """A block within which one is woken when a job ends. Made by hand: `contextmanager` costs five calls more."""

    def __init__(self, services: Services, tenant: str, member: str) -> None:
        self._openings, self._waiters = services.openings, services.waiters
        self._tenant, self._member = tenant, member

    def __enter__(self) -> Watch:
        self._openings.begin_wait(self._tenant)
        self._watch = self._waiters.watch(self._member)
        return self._watch

    def __exit__(self, *_: object) -> None:
        self._waiters.leave(self._member, self._watch)
        self._openings.end_wait(self._tenant)


class TenantJobs:
    """Reads the jobs of one tenant in one process: nobody else's can be named here.

    Args:
        services: the parts of the process.
        tenant: whose jobs all jobs are.
        clock: what time it is for Redis, as all of a process learn it.
    """

    def __init__(self, services: Services, *, tenant: str, clock: ServerClock) -> None:
        self._services = services
        #: Whose they are.
        self.tenant = tenant
        self._store = services.store
        self._prospects = services.prospects
        self._run = services.mux.run
        self._clock = clock
        # The longest pass; or its worker is lost, which is noticed when the lease has run out.
        self._bound_ms = round(1000 * services.settings.forward_limit_s) + services.settings.lease_ms

    async def see(self, job_id: str, *, wait_s: float = 0, with_result: bool = False) -> Seen:
        """Look at a job, after its end or `wait_s`, whichever comes first.

        Raises:
            JobNotFound, JobExpired: if there is no record.
            TooManyOpenWaits: if it would have to wait beside as many others as may.
        """
        member = f"{self.tenant}/{job_id}"
        if not wait_s:
            return await self.described(job_id, await self._read(member, with_result=with_result))
        # Watch first, then read, then sleep until woken: an end between the two cannot be missed.
        with self.watching(member) as watch:
            found = await self._read(member, with_result=with_result)
            if found.job is not None and not found.job.status.is_terminal:
                found = await self.ended(member, watch, wait_s, with_result=with_result)
        return await self.described(job_id, found)

    def require_wait(self) -> None:
        """Refuse who would have to wait beside as many others of the tenant as may.

        Raises:
            TooManyOpenWaits: if so.
        """
        self._services.openings.begin_wait(self.tenant)
        self._services.openings.end_wait(self.tenant)

    def watching(self, member: str) -> "_Watching":
        """Be woken when a job ends, by one of the waits that the tenant may have open.

        Raises:
            TooManyOpenWaits: as it is entered, if as many others are open as may be.
        """
        return _Watching(self._services, self.tenant, member)

    async def ended(self, member: str, watch: Watch, wait_s: float, *, with_result: bool) -> Found:
        """An open job after its end or `wait_s`, whichever comes first; at once if this process is stopping.

        It is read unless its end was told.
        """
        waiters, is_over = self._services.waiters, False

        def ring() -> None:
            nonlocal is_over
            is_over = True
            watch.ring()

        # Half of what `asyncio.timeout` costs. It may ring a moment before the clock says so: only the ring counts.
        alarm = asyncio.get_running_loop().call_later(wait_s, ring)
        try:
            while True:
                if not waiters.is_closed:
                    await watch.rung()
                if watch.end and (end := read_end(member, watch.end)):
                    return Found(end[0], end[1] if with_result else None)
                is_last = waiters.is_closed or is_over
                found = await self._read(member, with_result=with_result)
                if is_last or found.job is None or found.job.status.is_terminal:
                    return found
        finally:
            alarm.cancel()

    async def _read(self, member: str, *, with_result: bool) -> Found:
        if not with_result:
            return Found(await self._run(self._store.read(member)))
        return Found(*await self._services.mux.run_both(self._store.read(member), self._store.output(member)))

    async def described(self, job_id: str, found: Found) -> Seen:
        """What there is to say of what was found.

        Raises:
            JobNotFound, JobExpired: if that is no record.
        """
        if found.job is None:
            raise await self.missing(job_id)
        return await self.describe(found.job, output=found.output)

    async def describe(self, job: Job, *, output: bytes | None = None, notes: bytes | None = None) -> Seen:
        """Add to a record, and its output and metadata if those were read too, what else there is to say of it."""
        delivery, metadata = await self._delivery(job) if job.has_webhook else None, notes
        if job.has_metadata and notes is None:
            metadata = await self._run(self._store.metadata(job.member))
        if job.status is JobStatus.QUEUED:
            now_ms, waiting = await self.now_ms(), await self._prospects.of(job)
            return Seen(job, waiting._replace(now_ms=now_ms), delivery=delivery, metadata=metadata)
        if job.status is JobStatus.FAILED and output is None:
            output = await self._run(self._store.output(job.member))
        kept_s = self._services.settings.result_ttl_s
        return Seen(job, output=output, delivery=delivery, metadata=metadata, bound_ms=self._bound_ms, kept_s=kept_s)

    async def describe_all(self, found: Iterable[Browsed]) -> list[Seen]:
        """What there is to say of jobs that were browsed."""
        return await asyncio.gather(*(self.describe(row.job, notes=row.metadata) for row in found if row.job))

    async def _delivery(self, job: Job) -> Delivery | None:
        found = await self._run(self._services.deliveries.read([delivery_id_of(job.member, job.next_seq)]))
        return found[0] if found else None

    async def past(self, job: Job) -> list[PastAttempt]:
        """Its attempts that came to no result."""
        return await self._run(self._store.past(job.member))

    async def moves(self, job: Job) -> list[ModelMove]:
        """What was loaded and unloaded for it while it waited."""
        first_ms, last_ms = job.ready_ms or job.created_ms, job.started_ms or job.ended_ms
        is_over = last_ms is not None and (job.claimed_ms is None or last_ms >= job.claimed_ms)
        op = read_moves(self._store.keys, str(job.ref), first_ms=first_ms, last_ms=last_ms if is_over else None)
        return await self._run(op)

    async def browse(self, score: float, after: str, *, limit: int) -> list[Browsed]:
        """The tenant's jobs that came at `score` or earlier, the newest first; with `after` those after that job."""
        member = f"{self.tenant}/{after}" if after else ""
        return await self._run(self._store.browse(self.tenant, score, member, limit=limit))

    async def missing(self, job_id: str) -> HeadraceError:
        """Why a job has no record."""
        if await self._services.seal.is_ours(job_id, self.tenant):
            return JobExpired(f"job {job_id} ended longer ago than it was to be kept, or was deleted")
        if await self._run(self._store.is_named(f"{self.tenant}/{job_id}")):
            return JobExpired(f"job {job_id} is no longer kept")
        return JobNotFound(f"there is no job {job_id[:80]}")

    async def now_ms(self) -> int:
        """Unix milliseconds by Redis's clock, which all times of jobs are from."""
        # Times that are given as spans count from now, and this machine's clock may be set to anything.
        if not self._clock.is_known:
            self._clock.learn(await self._run(ask_time()))
        return self._clock.now_ms()
