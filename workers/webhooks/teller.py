"""Teller: tells one end, to a webhook or to a Celery producer, and answers what came of it."""

import asyncio
import time
from http import HTTPStatus
from urllib.parse import urlsplit

from headrace.delivery_store import DeliveryStore
from headrace.jobs import Job
from headrace.mux import Mux
from headrace.store import JobStore
from headrace.trace import TRACEPARENT
from headrace.webhooks import DueDelivery, event_id_of
from workers.task_results import TaskResults, marked_task
from workers.webhooks.event import body_of
from workers.webhooks.messenger import Messenger
from workers.webhooks.schedule import Answer
from workers.webhooks.signature import signed_headers
from workers.webhooks.signing_keys import SigningKeys

_HEADERS = {
    "content-type": "application/json",
    "user-agent": "Headrace-Webhooks/1",
    "accept": "*/*",
    "accept-encoding": "identity",
}


def receiver_of(due: DueDelivery) -> str:
    """Who shares fate with whom: one tenant's receivers at one host and port are one."""
    if marked_task(due.url) is not None:
        return "celery"
    parts = urlsplit(due.url)
    return f"{due.job.tenant} {parts.scheme}://{parts.netloc}"


class Teller:
    """One per courier.

    Args:
        mux: the connection to Redis.
        jobs: operations on records, for results.
        deliveries: operations on secrets.
        messenger: posts to webhooks.
        results: where ends are stored that Celery's producers wait for.
    """

    def __init__(
        self,
        *,
        mux: Mux,
        jobs: JobStore,
        deliveries: DeliveryStore,
        messenger: Messenger,
        results: TaskResults | None = None,
    ) -> None:
        self._mux, self._jobs, self._messenger, self._results = mux, jobs, messenger, results
        self._keys = SigningKeys(mux=mux, store=deliveries)

    async def tell(self, due: DueDelivery) -> Answer:
        """Make one attempt.

        Raises:
            RedisUnavailable: if what it needs cannot be read.
        """
        task_id = marked_task(due.url)
        return await (self._post(due) if task_id is None else self._store_result(task_id, due.job))

    async def _store_result(self, task_id: str, job: Job) -> Answer:
        if self._results is None:
            return Answer("no_result_backend")
        output = await self._mux.run(self._jobs.output(job.member))
        await asyncio.to_thread(self._results.store, task_id, job, output)
        return Answer("stored", HTTPStatus.OK)

    async def _post(self, due: DueDelivery) -> Answer:
        keys = await self._keys.of(due.job.tenant)
        body = body_of(due)
        signed = signed_headers(event_id_of(due.id), int(time.time()), body, keys)
        traced = {TRACEPARENT: due.job.traceparent} if due.job.traceparent else {}
        return await self._messenger.post(due.url, {**_HEADERS, **traced, **signed}, body)
