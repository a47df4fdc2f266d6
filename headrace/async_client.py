"""AsyncClient: submit jobs over HTTP from asyncio, wait for them, fetch results.

    async with AsyncClient() as client:
        vectors = await client.map("embedder", ({"text": line} for line in lines))

The same calls and plans as `client.Client`, which says more about them.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import date, datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2

from headrace import bulk_call, change_calls, endpoint_calls, job_calls, operator_calls, persistence
from headrace.errors import HeadraceError, Unavailable
from headrace.handles import AsyncJob
from headrace.http_call import Answer, HttpCall
from headrace.job_record import JobRecord, JobRecords
from headrace.persistence import (
    Done,
    Patience,
    Pause,
    Plan,
    Send,
    advance,
    deadline_of,
    first_wait_s,
    persist,
    unreachable,
)
from headrace.progress import Progress, told
from headrace.transport import LIMITS, answer_of, credentials, default_url, request_of
from headrace.window import DEFAULT_WINDOW, in_window

T = TypeVar("T")


class AsyncClient:
    """A client for asyncio.

    Args:
        url: of the API; else the setting `url`; else where `headrace up` runs on this folder.
        api_key: shown to it; else the setting `api_key`.
        patience: when to give up.
        transport: what carries requests instead of the network, for tests.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        patience: Patience | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = url or default_url()
        self._patience = patience or Patience()
        headers = credentials(api_key)
        self._http = httpx2.AsyncClient(
            base_url=self.url, headers=headers, limits=LIMITS, transport=transport, trust_env=False
        )

    def __repr__(self) -> str:
        return f"AsyncClient({self.url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.aclose()

    async def submit(
        self,
        model: str,
        value: Any,
        *,
        webhook: str | Mapping[str, Any] | None = None,
        metadata: Mapping[str, str] | None = None,
        fairness_key: str | None = None,
        key: str | None = None,
        job_id: str | None = None,
        **options: Any,
    ) -> AsyncJob:
        """As `Client.submit`."""
        call = job_calls.submit(
            model,
            value,
            options=options,
            webhook=webhook,
            metadata=metadata,
            fairness_key=fairness_key,
            key=key,
            job_id=job_id,
        )
        return AsyncJob(self, await self._call(call))

    async def submit_many(
        self,
        model: str,
        values: Iterable[Any],
        *,
        webhook: str | Mapping[str, Any] | None = None,
        metadata: Mapping[str, str] | None = None,
        fairness_key: str | None = None,
        key: str | None = None,
        **options: Any,
    ) -> list[AsyncJob | HeadraceError]:
        """As `Client.submit_many`."""
        calls = bulk_call.submissions(
            model, values, options=options, webhook=webhook, metadata=metadata, fairness_key=fairness_key, key=key
        )
        handed = [one for call in calls for one in await self._call(call)]
        return [AsyncJob(self, one) if isinstance(one, JobRecord) else one for one in handed]

    async def run(
        self,
        model: str,
        value: Any,
        *,
        metadata: Mapping[str, str] | None = None,
        fairness_key: str | None = None,
        timeout_s: float | None = None,
        **options: Any,
    ) -> Any:
        """Submit one input and wait for its result.

        Raises:
            JobNotSucceeded: if the job ends without a result.
            WaitTimeout: if it has not ended in time.
        """
        call = job_calls.submit(
            model,
            value,
            options=options,
            metadata=metadata,
            fairness_key=fairness_key,
            wait_s=first_wait_s(timeout_s),
        )
        return (await self._carry_out(persistence.run(call, self._patience, timeout_s=timeout_s))).result()

    async def map(
        self,
        model: str,
        values: Iterable[Any],
        *,
        window: int = DEFAULT_WINDOW,
        metadata: Mapping[str, str] | None = None,
        fairness_key: str | None = None,
        progress: Progress | bool = False,
        return_errors: bool = False,
        **options: Any,
    ) -> list[Any]:
        """Run a job per value, `window` of them under way at once; results in the order of the values.

        `values` is read as places in the window become free. Errors are raised once all jobs have ended, or with
        `return_errors` stand in the place of results. `progress` is called with how many have ended; True draws a bar.

        Raises:
            HeadraceError: the first error in the order of the values.
            Unavailable: as soon as the API stays out of reach.
        """

        async def act(value: Any) -> Any:
            return await self.run(model, value, metadata=metadata, fairness_key=fairness_key, **options)

        with told(progress, values) as tell:
            outcomes = await in_window(act, values, window=window, progress=tell)
        errors = [outcome for outcome in outcomes if isinstance(outcome, HeadraceError)]
        if errors and not return_errors:
            raise errors[0]
        return outcomes

    async def wait(self, job_id: str, *, timeout_s: float | None = None) -> JobRecord:
        """Wait until a job has ended, however it ends; its record has the result.

        Raises:
            WaitTimeout: if it has not ended in time.
        """
        return await self._carry_out(persistence.wait(job_id, self._patience, timeout_s=timeout_s))

    async def changes(self, job_id: str, *, timeout_s: float | None = None) -> AsyncIterator[JobRecord]:
        """As `Client.changes`."""
        deadline, record = deadline_of(self._patience, timeout_s), None
        while record is None or not record.is_terminal:
            record = await self._carry_out(persistence.change(job_id, record, self._patience, deadline=deadline))
            yield record

    async def get(self, job_id: str) -> JobRecord:
        """How a job is now."""
        return await self._call(job_calls.get(job_id))

    async def result(self, job_id: str) -> Any:
        """The result of a job that has succeeded."""
        return await self._call(job_calls.result(job_id))

    async def cancel(self, job_id: str) -> JobRecord:
        """Call a job off; one that has ended stays as it is."""
        return await self._call(job_calls.cancel(job_id))

    async def cancel_many(
        self, *, confirm: int | None = None, metadata: Mapping[str, str] | None = None, **filters: str | datetime | None
    ) -> dict[str, int]:
        """As `Client.cancel_many`."""
        chosen = job_calls.job_filters(metadata=metadata, **filters)
        return await self._carry_out(persistence.cancel_many(chosen, self._patience, confirm=confirm))

    async def amend(self, job_id: str, **changes: Any) -> JobRecord:
        """As `Client.amend`."""
        return await self._call(change_calls.amend(job_id, changes))

    async def retry(self, job_id: str) -> JobRecord:
        """As `Client.retry`."""
        return await self._call(change_calls.retry(job_id))

    async def erase(self, job_id: str) -> JobRecord | None:
        """As `Client.erase`."""
        return await self._carry_out(persistence.erase(job_id, self._patience))

    async def timeline(self, job_id: str) -> dict[str, Any]:
        """As `Client.timeline`."""
        return await self._call(change_calls.timeline(job_id))

    async def estimate(self, model: str, value: Any, **options: Any) -> dict[str, Any]:
        """As `Client.estimate`."""
        return await self._call(change_calls.estimate(model, value, options=options))

    async def jobs(
        self,
        *,
        limit: int = 50,
        status: str | None = None,
        model: str | None = None,
        tier: str | None = None,
        created_after: datetime | str | None = None,
        created_before: datetime | str | None = None,
        metadata: Mapping[str, str] | None = None,
        tenant: str | None = None,
    ) -> JobRecords:
        """As `Client.jobs`."""
        filters = job_calls.job_filters(
            status=status,
            model=model,
            tier=tier,
            created_after=created_after,
            created_before=created_before,
            metadata=metadata,
            tenant=tenant,
        )
        return await self._carry_out(persistence.jobs(filters, self._patience, limit=limit))

    async def models(self) -> list[dict[str, Any]]:
        """The released models."""
        return await self._call(operator_calls.listing("models"))

    async def model_versions(self, model: str, *, limit: int = 50, before: int | None = None) -> dict[str, Any]:
        """Versions of a model, released or not, the newest first; `next` is `before` of the next page."""
        return await self._call(operator_calls.model_versions(model, limit=limit, before=before))

    async def model_schema(self, model: str) -> dict[str, Any]:
        """Input and output JSON Schema of `name`, `name@3` or `name@alias`."""
        return await self._call(operator_calls.model_schema(model))

    async def warm(self, model: str, *, for_s: int = 600) -> dict[str, Any]:
        """Have workers load a model before its jobs come, and keep it for so long."""
        return await self._call(operator_calls.warm(model, for_s=for_s))

    async def queues(self) -> list[dict[str, Any]]:
        """What waits, by model and tier."""
        return await self._call(operator_calls.listing("queues"))

    async def pause_queue(self, name: str, *, reason: str = "") -> dict[str, Any]:
        """Have no worker take jobs of a queue any more, called as `queues` calls it; `reason` is told to who waits."""
        return await self._call(operator_calls.pause_queue(name, reason=reason))

    async def resume_queue(self, name: str) -> dict[str, Any]:
        """Have workers take jobs of a queue again."""
        return await self._call(operator_calls.resume_queue(name))

    async def purge_queue(self, name: str, *, confirm: int | None = None) -> dict[str, int]:
        """As `Client.purge_queue`."""
        return await self._carry_out(persistence.purge_queue(name, self._patience, confirm=confirm))

    async def workers(self) -> list[dict[str, Any]]:
        """The workers that are alive."""
        return await self._call(operator_calls.listing("workers"))

    async def webhook_deliveries(self, *, limit: int = 50) -> list[dict[str, Any]]:
        """What was told to webhooks, newest first."""
        return await self._call(operator_calls.webhook_deliveries(limit=limit))

    async def replay_webhook(self, delivery_id: str) -> dict[str, Any]:
        """Have a webhook delivered again, under its own id."""
        return await self._call(operator_calls.replay_webhook(delivery_id))

    async def replay_webhooks(self, *, status: str = "failed", since: str | None = None, limit: int = 100) -> list[str]:
        """Have all webhooks delivered again that failed, or are `status`, since a time; answers their ids."""
        return await self._call(operator_calls.replay_webhooks(status=status, since=since, limit=limit))

    async def webhook_events(self, *, after: str | None = None, wait_s: float = 0, limit: int = 50) -> dict[str, Any]:
        """What couriers began to tell after a `cursor`, each with `headers` and `body`; without one, where to begin."""
        return await self._call(endpoint_calls.listen(after=after, wait_s=wait_s, limit=limit))

    async def webhook_endpoints(self) -> list[dict[str, Any]]:
        """The registered receivers of webhooks, the oldest first."""
        return await self._call(endpoint_calls.listing())

    async def register_webhook(self, url: str, **fields: Any) -> dict[str, Any]:
        """Register a receiver, with `events`, `include`, `description`; its `secret` is never shown again."""
        return await self._call(endpoint_calls.register({"url": url, **fields}))

    async def change_webhook(self, endpoint_id: str, **fields: Any) -> dict[str, Any]:
        """Change `url`, `events`, `include`, `description` or `enabled` of a registered receiver."""
        return await self._call(endpoint_calls.change(endpoint_id, fields))

    async def rotate_webhook(self, endpoint_id: str) -> dict[str, Any]:
        """Replace a receiver's secret; the one before signs along for a day."""
        return await self._call(endpoint_calls.rotate(endpoint_id))

    async def test_webhook(self, endpoint_id: str) -> dict[str, Any]:
        """Send a signed `endpoint.test` to a registered receiver; answers with its `outcome`."""
        return await self._call(endpoint_calls.test(endpoint_id))

    async def forget_webhook(self, endpoint_id: str) -> None:
        """Forget a registered receiver."""
        await self._call(endpoint_calls.forget(endpoint_id))

    async def dead_letters(
        self, *, limit: int = 50, model: str | None = None, cause: str | None = None
    ) -> list[dict[str, Any]]:
        """Jobs that were given up, newest first: of a model (`name` or `name@3`), for a cause."""
        return await self._call(operator_calls.dead_letters(limit=limit, model=model, cause=cause))

    async def dead_letter(self, job_id: str) -> dict[str, Any]:
        """A job that was given up, with its input."""
        return await self._call(operator_calls.dead_letter(job_id))

    async def redrive(self, job_id: str) -> JobRecord:
        """Send a job that was given up again, as a new job; a second time answers that one."""
        return await self._call(operator_calls.redrive(job_id))

    async def usage(
        self,
        *,
        first: date | str | None = None,
        last: date | str | None = None,
        tenant: str | None = None,
    ) -> list[dict[str, Any]]:
        """Jobs, `gpu_ms` and bytes by day, model version and tier.

        Args:
            first: day in UTC; else 30 days up to the last.
            last: day in UTC; else today.
            tenant: another's than the caller's, or `*` for all; that takes a key of scope admin.
        """
        return await self._call(operator_calls.usage(first=first, last=last, tenant=tenant))

    async def limits(self) -> dict[str, Any]:
        """As `Client.limits`."""
        return await self._call(operator_calls.document("limits"))

    async def scaling(self) -> dict[str, Any]:
        """How many workers there should be, and why."""
        return await self._call(operator_calls.document("scaling"))

    async def _call(self, call: HttpCall[T]) -> T:
        return await self._carry_out(persist(call, self._patience))

    async def _carry_out(self, plan: Plan[T]) -> T:
        step = advance(plan, None)
        while not isinstance(step, Done):
            step = advance(plan, await self._do(step))
        return step.value

    async def _do(self, step: Send | Pause) -> Answer | Unavailable | None:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        try:
            return answer_of(await self._http.request(**request_of(step.call)))
        except httpx2.TransportError as error:
            return unreachable(self.url, error)
