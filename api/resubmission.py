"""Ended jobs sent again: each as a new job, because an end is for good."""

from api.desk import JobDesk
from api.services import Services
from api.tenant_jobs import Seen
from headrace.errors import JobExpired, NotRetryable
from headrace.jobs import Job, JobStatus, NewJob
from headrace.store_submissions import SubmitOutcome

#: No key of a caller begins like this, so retrying a job twice makes one, and nothing else gets in its way.
_KEY = "\0retry:"
_RETRYABLE = frozenset({JobStatus.FAILED, JobStatus.EXPIRED, JobStatus.CANCELED})


async def retry(services: Services, desk: JobDesk, job_id: str, *, is_new: bool) -> Seen:
    """A new job of one that ended without a result; the same one each time, unless `is_new`.

    Raises:
        JobNotFound, JobExpired: if there is no record, or no input any more.
        NotRetryable: if it has not ended, or has succeeded.
        QueueFull: if no more may wait, or it would wait too long.
    """
    job = (await desk.jobs.see(job_id)).job
    if job.status not in _RETRYABLE:
        raise NotRetryable(f"job {job_id} is {job.status}; what failed, expired or was canceled can be tried again")
    return await send_again(services, desk, job, key="" if is_new else f"{_KEY}{job_id}")


async def send_again(services: Services, desk: JobDesk, job: Job, *, key: str) -> Seen:
    """A new job of an ended one's input, version, tier, webhook and metadata; with `key` the same one each time.

    Raises:
        JobExpired: if its input is no longer kept.
        QueueFull: if no more may wait, or it would wait too long.
    """
    run, store = services.mux.run, services.store
    raw = await run(store.input(job.member))
    if raw is None:
        raise JobExpired(f"the input of job {job.id} is no longer kept, so it cannot be sent again")
    hook = await run(store.webhook_url(job.member)) if job.has_webhook else None
    notes = await run(store.metadata(job.member)) if job.has_metadata else None
    again = NewJob(
        id=await services.seal.new_id(job.tenant),
        tenant=job.tenant,
        ref=job.ref,
        tier=job.tier,
        input=raw,
        max_attempts=job.max_attempts,
        run_timeout_s=job.run_timeout_s,
        result_ttl_s=job.result_ttl_s,
        retry_on=job.retry_on,
        is_batchable=job.is_batchable,
        seed=job.seed,
        fairness_key=job.fairness_key,
        idempotency_key=key,
        webhook_url=hook.decode() if hook else "",
        webhook_letters=job.webhook_letters,
        metadata=notes or b"",
    )
    await desk.admit(again)
    submitted = await desk.enqueue(again)
    seen = await desk.jobs.see(submitted.member.partition("/")[2])
    return seen._replace(found_by="Idempotency-Replayed" if submitted.outcome is SubmitOutcome.REPLAYED else "")
