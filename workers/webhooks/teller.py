"""Teller: tells one end, to a webhook or to a Celery producer, and answers what came of it."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

from headrace.delivery_store import DeliveryStore
from headrace.endpoint_tests import EndpointTest
from headrace.endpoints import Include, events_of, named_endpoint
from headrace.errors import RedisUnavailable
from headrace.jobs import Job, JobStatus
from headrace.mux import Mux
from headrace.secret_box import SecretBox
from headrace.store import JobStore
from headrace.trace import TRACEPARENT
from headrace.webhook_event import body_of, test_body
from headrace.webhook_signature import signed_headers
from headrace.webhooks import DueDelivery, event_id_of
from workers.task_results import TaskResults, marked_task
from workers.webhooks.endpoint_book import EndpointBook
from workers.webhooks.messenger import Messenger
from workers.webhooks.schedule import Answer
from workers.webhooks.signing_keys import SigningKeys

_HEADERS = {
    "content-type": "application/json",
    "user-agent": "Headrace-Webhooks/1",
    "accept": "*/*",
    "accept-encoding": "identity",
}
_NOT_SUBSCRIBED = Answer("not_subscribed", HTTPStatus.NO_CONTENT)


def receiver_of(due: DueDelivery) -> str:
    """Who shares fate with whom: one tenant's receivers at one host and port are one."""
    if marked_task(due.url) is not None:
        return "celery"
    if named_endpoint(due.url) is not None:
        return f"{due.job.tenant} {due.url}"
    parts = urlsplit(due.url)
    return f"{due.job.tenant} {parts.scheme}://{parts.netloc}"


class Teller:
    """One per courier.

    Args:
        mux: the connection to Redis.
        jobs: operations on records, for results.
        deliveries: operations on secrets.
        messenger: posts to webhooks.
        book: knows the registered receivers.
        box: opens secrets.
        results: where ends are stored that Celery's producers wait for.
    """

    def __init__(
        self,
        *,
        mux: Mux,
        jobs: JobStore,
        deliveries: DeliveryStore,
        messenger: Messenger,
        book: EndpointBook,
        box: SecretBox,
        results: TaskResults | None = None,
    ) -> None:
        self._mux, self._jobs, self._messenger, self._results = mux, jobs, messenger, results
        self._book = book
        self._keys = SigningKeys(mux=mux, store=deliveries, box=box)

    async def tell(self, due: DueDelivery) -> Answer:
        """Make one attempt.

        Raises:
            RedisUnavailable: if what it needs cannot be read.
        """
        if (task_id := marked_task(due.url)) is not None:
            return await self._store_result(task_id, due.job)
        if (endpoint_id := named_endpoint(due.url)) is not None:
            return await self._tell_endpoint(endpoint_id, due)
        if due.event not in events_of(due.job.webhook_letters):
            return _NOT_SUBSCRIBED
        return await self._post(due.url, due, await self._keys.of(due.job.tenant))

    async def test(self, test: EndpointTest) -> Answer:
        """Send an `endpoint.test`, also to one that is stopped; how an endpoint has been stays as it was.

        Raises:
            RedisUnavailable: if what it needs cannot be read.
        """
        endpoint, _, keys, _ = await self._book.find(test.tenant, test.endpoint_id)
        if endpoint is None:
            return Answer("endpoint_deleted", HTTPStatus.GONE)
        now_s = time.time()
        body = test_body(endpoint.id, round(1000 * now_s))
        signed = signed_headers(test.id, int(now_s), body, keys)
        return await self._messenger.post(endpoint.url, {**_HEADERS, **signed}, body)

    async def _store_result(self, task_id: str, job: Job) -> Answer:
        if self._results is None:
            return Answer("no_result_backend")
        output = await self._mux.run(self._jobs.output(job.member))
        await asyncio.to_thread(self._results.store, task_id, job, output)
        return Answer("stored", HTTPStatus.OK)

    async def _tell_endpoint(self, endpoint_id: str, due: DueDelivery) -> Answer:
        tenant = due.job.tenant
        endpoint, health, keys, _ = await self._book.find(tenant, endpoint_id)
        if endpoint is None:
            return Answer("endpoint_deleted", HTTPStatus.GONE)
        if health.stopped is not None:
            return Answer(f"endpoint_{health.stopped}", HTTPStatus.GONE)
        if due.event not in endpoint.events:
            return _NOT_SUBSCRIBED
        if endpoint.include is Include.LINK and due.job.status is JobStatus.SUCCEEDED:
            due = due._replace(output=None)
        answer = await self._post(endpoint.url, due, keys)
        # What came of the attempt counts all the same: otherwise an event that was taken would be told again.
        with contextlib.suppress(RedisUnavailable):
            await self._book.note(tenant, endpoint_id, answer.status)
        return answer

    async def _post(self, url: str, due: DueDelivery, keys: Sequence[bytes]) -> Answer:
        body = body_of(due)
        signed = signed_headers(event_id_of(due.id), int(time.time()), body, keys)
        traced = {TRACEPARENT: due.job.traceparent} if due.job.traceparent else {}
        return await self._messenger.post(url, {**_HEADERS, **traced, **signed}, body)
