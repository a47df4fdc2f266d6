"""Submissions that end with their caller: whoever asked for it and hangs up has the job called off."""

import asyncio

from starlette.requests import Request

from api.desk import JobDesk
from api.tenant_jobs import Seen
from headrace.errors import TooManyOpenWaits


async def submit_attended(
    request: Request,
    desk: JobDesk,
    raw: bytes,
    *,
    wait_s: float,
    chosen_id: str = "",
    idempotency_key: str = "",
    traceparent: str = "",
) -> Seen:
    """Hand in a job and wait for it; if its caller goes away before it has ended, or `wait_s` are over, call it off.

    `raw` is the whole body of the request; all else is as `JobDesk.submit` takes it.

    Raises:
        HeadraceError: as `JobDesk.submit`; nothing was stored then.
    """
    desk.jobs.require_wait()
    seen = await desk.submit(raw, chosen_id=chosen_id, idempotency_key=idempotency_key, traceparent=traceparent)
    waiting = asyncio.ensure_future(desk.jobs.see(seen.job.id, wait_s=wait_s, with_result=True))
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((waiting, leaving), return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return (await waiting)._replace(found_by=seen.found_by)
        return await desk.cancel(seen.job.id)
    except TooManyOpenWaits:
        return seen  # others came first meanwhile: it is stored, and answered as one that nobody waits for
    finally:
        waiting.cancel()
        leaving.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
