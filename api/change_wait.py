"""Waiting until a job is another than its caller knows.

Its end is told (`event_feed`). Starts, progress and places are not: that would cost every batch an event, for the few
who watch. So those who wait for any change look again now and then (`lookout`).
"""

import asyncio

from api.record_tags import KnownRecord, RecordTag
from api.services import Services
from api.tenant_jobs import Seen, TenantJobs
from api.waiters import Watch
from headrace.errors import RedisUnavailable
from headrace.jobs import JobStatus
from headrace.webhooks import DeliveryState


async def see_changed(services: Services, jobs: TenantJobs, job_id: str, *, known: KnownRecord, wait_s: float) -> Seen:
    """A job as soon as it is another than its caller knows; as it is after `wait_s`, or if nothing more will change.

    A place in the queue changes with every batch, so one that has moved is told after a pause, not at once: who asks on
    and on would else be answered as often as the network allows.

    Raises:
        JobNotFound, JobExpired: if there is no record, or no more.
        RedisUnavailable: if it cannot be looked at to begin with, or not when the time is over.
        TooManyOpenWaits: if it would have to wait beside as many others as may.
    """
    loop = asyncio.get_running_loop()
    end_at = loop.time() + wait_s
    with jobs.watching(f"{jobs.tenant}/{job_id}") as watch, services.lookout.watching():
        seen = await _look(jobs, job_id)
        is_known = known.is_same_job
        while is_known(_tag(seen)) and not _is_settled(seen):
            left_s = end_at - loop.time()
            if services.waiters.is_closed or left_s <= 0:
                break
            await _woken(watch, min(services.lookout.pause_s, left_s))
            is_known = known.is_same
            try:
                seen = await _look(jobs, job_id)
            except RedisUnavailable:
                # It is looked at again once Redis is back, which wakes everybody.
                if loop.time() >= end_at:
                    raise
        return seen


async def _woken(watch: Watch, pause_s: float) -> None:
    """Return when something has happened, or the pause is over."""
    alarm = asyncio.get_running_loop().call_later(pause_s, watch.ring)
    try:
        await watch.rung()
    finally:
        alarm.cancel()


async def _look(jobs: TenantJobs, job_id: str) -> Seen:
    seen = await jobs.see(job_id)
    return await jobs.see(job_id, with_result=True) if seen.job.status is JobStatus.SUCCEEDED else seen


def _tag(seen: Seen) -> RecordTag:
    return RecordTag.of(seen.document())


def _is_settled(seen: Seen) -> bool:
    """Tell whether its record will not change any more: it has ended, and whoever was to be told of that was."""
    return not seen.is_open and (seen.delivery is None or seen.delivery.state is not DeliveryState.PENDING)
