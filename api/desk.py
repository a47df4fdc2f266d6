"""The desk where jobs are handed in, changed and called off; `tenant_jobs` shows how they are."""

import asyncio
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from fastapi import Request

from api.callers import caller_of
from api.drafting import Drafting, Maker
from api.estimates import Foreseen, unattainable
from api.gathering import Gathering
from api.records import accepted_job
from api.services import Services
from api.tenant_jobs import Found, Seen, TenantJobs
from api.terms import Terms, read_submission
from headrace.endpoints import ENDS, Event, letters_of
from headrace.errors import FieldError, HeadraceError, JobNotWaiting, Unavailable
from headrace.failpoints import failpoint
from headrace.jobs import Job, JobStatus, NewJob, Reason
from headrace.reading import invalid_fields, parse_json
from headrace.redis_op import RedisOp
from headrace.replies import read_raw_bytes
from headrace.server_clock import ServerClock
from headrace.store_submissions import Amendment, SubmitOutcome, Submitted
from headrace.submission import (
    Changes,
    Webhook,
    fingerprint,
    queue_full,
    refusal_of,
    webhook_url,
)
from headrace.tiers import Tier, score_of
from headrace.webhooks import Delivery, delivery_id_of

#: How a submission is looked at that is only asked about.
_AS_IT_COMES = {"admission": "queue"}

_FOUND_BY = {SubmitOutcome.REPLAYED: "Idempotency-Replayed", SubmitOutcome.DUPLICATE: "Deduplicated"}


class JobDesk:
    """Serves the callers of one tenant in one process: nobody else's job can be named here.

    Args:
        services: the parts of the process.
        tenant: whose jobs all jobs are.
        clock: what time it is for Redis, as all desks learn it.
    """

    def __init__(self, services: Services, *, tenant: str, clock: ServerClock) -> None:
        self.settings = services.settings
        self.tenant = tenant
        self._services = services
        self._store = services.store
        self._prospects = services.prospects
        self._run = services.mux.run
        self._gathering = Gathering(self.enqueue_many)
        self._clock = clock
        self._drafting = Drafting(settings=services.settings, catalog=services.catalog, tenant=tenant)
        self._egress = services.settings.webhook_egress
        #: The tenant's, to look at them.
        self.jobs = TenantJobs(services, tenant=tenant, clock=clock)

    async def submit(
        self, raw: bytes, *, chosen_id: str = "", idempotency_key: str = "", traceparent: str = "", wait_s: float = 0
    ) -> Seen:
        """Check a body and store the job that it asks for; with `wait_s`, wait for its end.

        Raises:
            HeadraceError: saying what is wrong; nothing was stored then.
        """
        (terms, value), now_ms = read_submission(parse_json(raw)), await self.jobs.now_ms()
        job = await self.make_job(terms, value, now_ms=now_ms, job_id=chosen_id or await self.new_id())
        if chosen_id:
            job = job._replace(is_named=True)
        if traceparent:
            job = job._replace(traceparent=traceparent)
        if idempotency_key or chosen_id:
            job = job._replace(idempotency_key=idempotency_key, request_hash=fingerprint(raw))
        await self.admit(job)
        submitted, found = await self._hand_in(job, wait_s)
        if found:
            return await self.jobs.described(job.id, found)
        if submitted.outcome is not SubmitOutcome.ACCEPTED:
            stored_id = submitted.member.partition("/")[2]
            seen = await self.jobs.see(stored_id, wait_s=wait_s, with_result=wait_s > 0)
            return seen._replace(found_by=_FOUND_BY[submitted.outcome])
        accepted = accepted_job(job, now_ms=submitted.now_ms)
        delivery = Delivery(id=delivery_id_of(job.member), url=job.webhook_url) if job.webhook_url else None
        waiting = await self._prospects.of_new(accepted, depth=submitted.depth, score=self._score_of(job))
        waiting = waiting._replace(now_ms=submitted.now_ms)
        return Seen(accepted, waiting, delivery=delivery, metadata=job.metadata or None)

    async def new_id(self) -> str:
        """An id for a new job; raises as `new_ids`."""
        return (await self.new_ids(1))[0]

    async def new_ids(self, count: int) -> list[str]:
        """Ids for jobs that came together, in their order.

        Raises:
            RedisUnavailable: if the secret behind ids is not known yet and cannot be read.
        """
        return await self._services.seal.new_ids(self.tenant, count)

    def maker(self, terms: Terms, *, now_ms: int) -> Maker | None:
        """What makes jobs of these terms as `make_job` does; None if something must be asked for each of them."""
        return None if terms.needs_asking else self._drafting.maker(terms, now_ms=now_ms)

    async def make_job(self, terms: Terms, value: Any, *, now_ms: int, job_id: str) -> NewJob:
        """The job that a submission asks for which came at `now_ms`; not stored yet.

        Raises:
            HeadraceError: saying what is wrong with it.
        """
        job, body = await self._drafting.draft(terms, value, now_ms=now_ms, job_id=job_id), terms.body
        if body.options.admission == "strict":
            await self._require_in_time(job)
        if body.webhook is None:
            return job
        url, letters = await self._receiver(body.webhook)
        return job._replace(webhook_url=url, webhook_letters=letters)

    async def _receiver(self, webhook: Webhook) -> tuple[str, str]:
        """What is noted of a job for who is told of it: URL, or what stands for one, and letters."""
        letters = letters_of(await self._told_to(webhook))
        return webhook_url(webhook, self._egress), letters

    async def _told_to(self, webhook: Webhook) -> AbstractSet[Event]:
        """What is noted of a job for its receiver; which ends a registered one wants is seen when they are told."""
        if not webhook.endpoint:
            return webhook.events or ENDS
        endpoint = await self._run(self._services.endpoints.get(self.tenant, webhook.endpoint))
        if endpoint is None:
            problem = "is no endpoint of yours; GET /v1/webhook-endpoints lists them"
            raise invalid_fields([FieldError("/webhook/endpoint", problem, "webhook_endpoint")])
        return endpoint.events | ENDS

    @property
    def admits_all(self) -> bool:
        """True if every job passes `admit`."""
        return self._services.intake.refuses_none

    async def admit(self, job: NewJob) -> None:
        """Let a job pass unless it would wait too long; one that is there already, by its key or id, always passes.

        Raises:
            WaitTooLong, DeadlineUnattainable: saying for how long.
        """
        if self.admits_all:
            return
        refusal = await self._services.intake.admit(job, now_ms=await self.jobs.now_ms())
        if refusal is not None and not await self._is_known(job):
            raise refusal

    async def _admit_to(self, tier: Tier, job: Job) -> None:
        is_waiting = job.status is JobStatus.QUEUED and job.worker is None
        if not is_waiting or job.reason in (Reason.SCHEDULED, Reason.RETRY_BACKOFF):
            return  # it cannot be moved, or nobody knows what will be when its time comes
        if (refusal := await self._services.intake.refusal_of_move(job.ref, tier)) is not None:
            raise refusal

    async def _is_known(self, job: NewJob) -> bool:
        keys = self._store.keys
        known = [keys.idempotency(job.tenant, job.idempotency_key)] if job.idempotency_key else []
        if job.is_named:
            known.append(keys.job(job.member))
        if bool(known) and await self._run(RedisOp(bool, ("EXISTS", *known))):
            return True
        return bool(job.dedupe_key) and await self._has_twin(job)

    async def _has_twin(self, job: NewJob) -> bool:
        """Tell whether an earlier job stands for this one."""
        key = self._store.keys.dedupe(job.tenant, job.dedupe_key, job.dedupe_scope)
        member = await self._run(RedisOp(read_raw_bytes, ("GET", key)))
        twin = await self._run(self._store.read(member.decode())) if member else None
        return twin is not None and job.dedupe_scope.covers(
            is_over=twin.status.is_terminal, has_succeeded=twin.status is JobStatus.SUCCEEDED
        )

    async def _require_in_time(self, job: NewJob) -> None:
        waiting = await self._prospects.if_submitted(job, self._score_of(job))
        if (refusal := unattainable(job, waiting, now_ms=self._clock.now_ms())) is not None:
            raise refusal

    async def estimate(self, raw: bytes) -> Foreseen:
        """What would become of a submission, which is not stored.

        Raises:
            HeadraceError: saying what is wrong with it.
        """
        terms, value = read_submission(parse_json(raw))
        body = terms.body
        as_it_comes = Terms(body.model_copy(update={"options": body.options.model_copy(update=_AS_IT_COMES)}))
        job = await self.make_job(as_it_comes, value, now_ms=await self.jobs.now_ms(), job_id=await self.new_id())
        waiting = await self._prospects.if_submitted(job, self._score_of(job))
        waiting = waiting._replace(now_ms=self._clock.now_ms())
        late = unattainable(job, waiting, now_ms=waiting.now_ms)
        is_refused = late is not None and body.options.admission == "strict"
        refusal, twin_id = (late, "") if is_refused else await self._foresee(job, waiting.now_ms)
        told = await self._prospects.told_to(job, waiting)
        meets_deadline = late is None if job.deadline_ms and told.estimate else None
        return Foreseen(job, told, refusal, twin_id, meets_deadline, await self._prospects.job_s(job.ref))

    async def _foresee(self, job: NewJob, now_ms: int) -> tuple[HeadraceError | None, str]:
        """What a job would be refused with if it were handed in now, and the id of one that stands for it."""
        refusal = await self._services.intake.refusal_of(job, now_ms=now_ms)
        if refusal is not None and not await self._is_known(job):
            return refusal, ""
        try:
            self._services.barrier.require()
            submitted = await self._run(self._store.foresee(job, cap=self.settings.queue_cap))
        except Unavailable as error:
            return error, ""
        is_twin = submitted.outcome is SubmitOutcome.DUPLICATE
        return refusal_of(job, submitted), submitted.member.partition("/")[2] if is_twin else ""

    def _score_of(self, job: NewJob) -> float:
        arrival_ms = max(self._clock.now_ms(), job.not_before_ms)
        return score_of(job.tier, arrival_ms=arrival_ms, deadline_ms=job.deadline_ms)

    async def _hand_in(self, job: NewJob, wait_s: float) -> tuple[Submitted, Found | None]:
        """Store a job; with `wait_s`, one that is new is waited for and answered too."""
        if not wait_s:
            return await self.enqueue(job), None
        # Watched from before it is stored, its end cannot be missed, and nobody need ask whether it has come already.
        with self.jobs.watching(job.member) as watch:
            submitted = await self.enqueue(job._replace(is_awaited=True))
            if submitted.outcome is not SubmitOutcome.ACCEPTED:
                return submitted, None
            return submitted, await self.jobs.ended(job.member, watch, wait_s, with_result=True)

    async def enqueue(self, job: NewJob) -> Submitted:
        """Store a job; returns when it is as safe as the durability that is set demands.

        Raises:
            QueueFull: if no more may wait.
            IdempotencyMismatch: if its key or id made a job of another request.
            JobExpired: if its id was chosen for a job that is no longer kept.
            Unavailable: if it could not be stored, or its disk has not followed.
        """
        failpoint("api.before_submit")
        submitted = await self._gathering.store(job)
        failpoint("api.submitted")
        if (refusal := refusal_of(job, submitted)) is not None:
            raise refusal
        await self.settle()
        failpoint("api.before_answer")
        return submitted

    async def enqueue_many(self, jobs: Sequence[NewJob], *, is_whole: bool = False) -> list[Submitted]:
        """Store jobs by one script, and with `is_whole` all or none; nobody may be told before they have settled.

        Raises:
            Unavailable: if they could not be stored.
        """
        cap, ttl_s = self.settings.queue_cap, self.settings.idempotency_ttl_s
        self._services.barrier.require()
        op = self._store.submit_many(jobs, cap=cap, idempotency_ttl_s=ttl_s, is_whole=is_whole)
        submitted = await self._run(op)
        self._clock.learn(submitted[0].now_ms)
        self._services.shadows.copy(jobs, submitted)
        return submitted

    async def settle(self) -> None:
        """Return when what was stored is as safe as the durability that is set demands.

        Raises:
            NotDurable: if its disk has not followed.
        """
        await self._services.barrier.reached()

    async def cancel(self, job_id: str) -> Seen:
        """Call a job off; one that has ended stays as it is.

        Raises:
            JobNotFound, JobExpired: if there is no record.
        """
        ttl_s = self.settings.result_ttl_s
        await self._run(self._store.cancel(f"{self.tenant}/{job_id}", result_ttl_s=ttl_s))
        return await self.jobs.see(job_id)

    async def cancel_many(self, members: Iterable[str]) -> list[JobStatus | None]:
        """Call these jobs off; how each is then, None if it is no longer kept."""
        ttl_s = self.settings.result_ttl_s
        return await asyncio.gather(*(self._run(self._store.cancel(member, result_ttl_s=ttl_s)) for member in members))

    async def amend(self, job_id: str, changes: Changes) -> Seen:
        """Change what a job that waits was submitted with.

        Raises:
            JobNotFound, JobExpired: if there is no record.
            JobNotWaiting: if a worker has it, or it has ended.
            QueueFull: if no more may wait in the tier that it was to go to, or it would wait too long there.
            InvalidInput: if its deadline is over, or webhooks may not be sent where they were to go.
        """
        change = await self._amendment(changes)
        job = await self._run(self._store.read(f"{self.tenant}/{job_id}"))
        if job is not None and change.tier not in (None, job.tier):
            await self._admit_to(change.tier, job)
        failpoint("api.before_amend")
        amended = await self._run(self._store.amend(job, change, cap=self.settings.queue_cap)) if job else None
        failpoint("api.amended")
        if job is None or amended is None:
            raise await self.jobs.missing(job_id)
        match amended.outcome:
            case "amended":
                return await self.jobs.see(job_id)
            case "changed":  # by somebody else, between these two
                return await self.amend(job_id, changes)
            case "full":
                raise queue_full(job._replace(tier=change.tier or job.tier), amended.depth)
            case other:
                what = "is with a worker" if other == "held" else f"is {other}"
                raise JobNotWaiting(f"job {job_id} {what}; only a job that waits can be changed")

    async def _amendment(self, changes: Changes) -> Amendment:
        change = changes.amendment(await self.jobs.now_ms())
        if "webhook" not in changes.model_fields_set:
            return change
        url, letters = await self._receiver(changes.webhook) if changes.webhook else ("", "")
        return change._replace(webhook_url=url, webhook_letters=letters)

    async def erase(self, job_id: str) -> Seen | None:
        """Delete what a job holds, canceling it first if it has not ended; what is left of it, None if nothing is.

        Raises:
            JobNotFound, JobExpired: if there is no record.
        """
        failpoint("api.before_erase")
        outcome = await self._run(self._store.erase(f"{self.tenant}/{job_id}", result_ttl_s=self.settings.result_ttl_s))
        failpoint("api.erased")
        if outcome is None:
            raise await self.jobs.missing(job_id)
        return None if outcome == "erased" else await self.jobs.see(job_id)


class JobDesks:
    """The desks of one process, one for each tenant that ever asked."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._clock = ServerClock()
        self._desks: dict[str, JobDesk] = {}

    def of(self, tenant: str) -> JobDesk:
        """The desk of a tenant."""
        if tenant not in self._desks:
            self._desks[tenant] = JobDesk(self._services, tenant=tenant, clock=self._clock)
        return self._desks[tenant]

    def looking_after(self, tenant: str) -> JobDesk:
        """The same for who looks after others: there may be no such tenant, so it is not remembered."""
        return self._desks.get(tenant) or JobDesk(self._services, tenant=tenant, clock=self._clock)


def desk_of(request: Request) -> JobDesk:
    """The desk of the tenant that this request acts for."""
    desks: JobDesks = request.app.state.desks
    return desks.of(caller_of(request).tenant)


def desk_named(request: Request, tenant: str | None) -> JobDesk:
    """The desk of a tenant that this request names, of its own if it names none.

    Raises:
        Forbidden: if it may not look after others.
    """
    whose = caller_of(request).looking_after(tenant)
    if whose == caller_of(request).tenant:
        return desk_of(request)
    desks: JobDesks = request.app.state.desks
    return desks.looking_after(whose)
