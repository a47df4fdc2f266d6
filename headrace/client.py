"""Client: submit jobs over HTTP, wait for them, fetch results. `async_client` has the one for asyncio.

    with Client() as client:
        vector = client.run("embedder", {"text": "hello"})
        vectors = client.map("embedder", ({"text": line} for line in lines))

Every call is tried again while the API is busy, restarting or out of reach; a submission carries a key, so that this
makes no job twice. Both clients carry out the same plans (`persistence`) of the same calls (`http_call`).
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2

from headrace import bulk_call, change_calls, endpoint_calls, job_calls, operator_calls, persistence
from headrace.async_client import AsyncClient
from headrace.errors import HeadraceError, Unavailable
from headrace.handles import Job
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
from headrace.progress import Progress
from headrace.transport import LIMITS, answer_of, credentials, default_url, request_of
from headrace.window import DEFAULT_WINDOW, run_apart

T = TypeVar("T")


class Client:
    """A blocking client; may be shared between threads.

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
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self.url = url or default_url()
        self._patience = patience or Patience()
        self._api_key = api_key
        headers = credentials(api_key)
        self._http = httpx2.Client(
            base_url=self.url, headers=headers, limits=LIMITS, transport=transport, trust_env=False
        )

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def submit(
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
    ) -> Job:
        """Hand in one input.

        Args:
            model: name, or name@version.
            value: the input.
            webhook: URL, or id of a registered receiver (`ep_…`), that gets a signed POST when the job has ended; or
                `{"url": …, "events": …}`.
            metadata: what you call the job by, to find it again in lists.
            fairness_key: whose it is, a customer's or a team's: those who wait in a queue take turns.
            key: makes repeating it later safe too.
            job_id: an id of your own, instead of a key: 26 to 64 letters, digits, - or _.
            options: the API's: tier, deadline, run_timeout_s, result_ttl_s, dedupe, …
        """
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
        return Job(self, self._call(call))

    def submit_many(
        self,
        model: str,
        values: Iterable[Any],
        *,
        webhook: str | Mapping[str, Any] | None = None,
        metadata: Mapping[str, str] | None = None,
        fairness_key: str | None = None,
        key: str | None = None,
        **options: Any,
    ) -> list[Job | HeadraceError]:
        """Hand in many inputs, a thousand by each request; what became of each in their order.

        A job that was refused does not hold up the others: its error stands in its place. Repeating it all with the
        same `key` makes no job twice.

        Raises:
            Unavailable: if the API stays out of reach; jobs handed in until then are kept.
        """
        calls = bulk_call.submissions(
            model, values, options=options, webhook=webhook, metadata=metadata, fairness_key=fairness_key, key=key
        )
        handed = [one for call in calls for one in self._call(call)]
        return [Job(self, one) if isinstance(one, JobRecord) else one for one in handed]

    def run(
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
        return self._carry_out(persistence.run(call, self._patience, timeout_s=timeout_s)).result()

    def map(
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
        """As `AsyncClient.map`, which it borrows: many requests are under way at once."""

        async def whole() -> list[Any]:
            async with AsyncClient(self.url, api_key=self._api_key, patience=self._patience) as client:
                return await client.map(
                    model,
                    values,
                    window=window,
                    metadata=metadata,
                    fairness_key=fairness_key,
                    progress=progress,
                    return_errors=return_errors,
                    **options,
                )

        return run_apart(whole)

    def wait(self, job_id: str, *, timeout_s: float | None = None) -> JobRecord:
        """Wait until a job has ended, however it ends; its record has the result.

        Raises:
            WaitTimeout: if it has not ended in time.
        """
        return self._carry_out(persistence.wait(job_id, self._patience, timeout_s=timeout_s))

    def changes(self, job_id: str, *, timeout_s: float | None = None) -> Iterator[JobRecord]:
        """How a job is, and how it is each time that has changed, until it has ended; the last record has the result.

        Nothing is missed that lasts; of what changes faster than about once a second the newest is shown.

        Raises:
            WaitTimeout: if it has not ended in time.
        """
        deadline, record = deadline_of(self._patience, timeout_s), None
        while record is None or not record.is_terminal:
            record = self._carry_out(persistence.change(job_id, record, self._patience, deadline=deadline))
            yield record

    def get(self, job_id: str) -> JobRecord:
        """How a job is now."""
        return self._call(job_calls.get(job_id))

    def result(self, job_id: str) -> Any:
        """The result of a job that has succeeded."""
        return self._call(job_calls.result(job_id))

    def cancel(self, job_id: str) -> JobRecord:
        """Call a job off; one that has ended stays as it is."""
        return self._call(job_calls.cancel(job_id))

    def cancel_many(
        self, *, confirm: int | None = None, metadata: Mapping[str, str] | None = None, **filters: str | datetime | None
    ) -> dict[str, int]:
        """Call off the jobs that have not ended and that every filter means, as `jobs` takes them.

        Args:
            confirm: how many they may be; if there are more, none is canceled. Without it they are only counted.
            metadata: pairs that a job was submitted with.
            filters: status (`queued` or `running`), model, tier, created_after, created_before, tenant (as `jobs`).

        Returns:
            How many jobs `matched`, and of them were `canceled`, are `canceling`, or had `ended` by themselves.
        """
        chosen = job_calls.job_filters(metadata=metadata, **filters)
        return self._carry_out(persistence.cancel_many(chosen, self._patience, confirm=confirm))

    def amend(self, job_id: str, **changes: Any) -> JobRecord:
        """Change a job that waits; what is not named stays.

        Args:
            job_id: names it.
            changes: `tier`, `deadline` (None for none), `metadata`, `webhook` (as `submit` takes it, None for nobody).
        """
        return self._call(change_calls.amend(job_id, changes))

    def retry(self, job_id: str) -> JobRecord:
        """Make a new job of one that failed, expired or was canceled; a second time answers that one."""
        return self._call(change_calls.retry(job_id))

    def erase(self, job_id: str) -> JobRecord | None:
        """Delete input, result, metadata and record of a job; one that has not ended is canceled first.

        Returns:
            None if nothing of it is left, else the record that stays until its pass or its webhook is over.
        """
        return self._carry_out(persistence.erase(job_id, self._patience))

    def timeline(self, job_id: str) -> dict[str, Any]:
        """When a job was accepted, claimed, started and ended, and how long it waited for what."""
        return self._call(change_calls.timeline(job_id))

    def estimate(self, model: str, value: Any, **options: Any) -> dict[str, Any]:
        """What would become of a submission with these `options`: whether it is admissible, its place, its times."""
        return self._call(change_calls.estimate(model, value, options=options))

    def jobs(
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
        """Jobs, newest first, without results: those that every filter means; as many pages as `limit` takes.

        Args:
            limit: how many at most.
            status: `queued`, `running`, …
            model: name, or name@version.
            tier: `priority`, `standard` or `spot`.
            created_after: with a time zone, or RFC 3339.
            created_before: likewise.
            metadata: pairs that a job was submitted with.
            tenant: another's than the caller's; that takes a key of scope admin.
        """
        filters = job_calls.job_filters(
            status=status,
            model=model,
            tier=tier,
            created_after=created_after,
            created_before=created_before,
            metadata=metadata,
            tenant=tenant,
        )
        return self._carry_out(persistence.jobs(filters, self._patience, limit=limit))

    def models(self) -> list[dict[str, Any]]:
        """The released models."""
        return self._call(operator_calls.listing("models"))

    def model_versions(self, model: str, *, limit: int = 50, before: int | None = None) -> dict[str, Any]:
        """Versions of a model, released or not, the newest first; `next` is `before` of the next page."""
        return self._call(operator_calls.model_versions(model, limit=limit, before=before))

    def model_schema(self, model: str) -> dict[str, Any]:
        """Input and output JSON Schema of `name`, `name@3` or `name@alias`."""
        return self._call(operator_calls.model_schema(model))

    def warm(self, model: str, *, for_s: int = 600) -> dict[str, Any]:
        """Have workers load a model before its jobs come, and keep it for so long."""
        return self._call(operator_calls.warm(model, for_s=for_s))

    def queues(self) -> list[dict[str, Any]]:
        """What waits, by model and tier."""
        return self._call(operator_calls.listing("queues"))

    def pause_queue(self, name: str, *, reason: str = "") -> dict[str, Any]:
        """Have no worker take jobs of a queue any more, called as `queues` calls it; `reason` is told to who waits."""
        return self._call(operator_calls.pause_queue(name, reason=reason))

    def resume_queue(self, name: str) -> dict[str, Any]:
        """Have workers take jobs of a queue again."""
        return self._call(operator_calls.resume_queue(name))

    def purge_queue(self, name: str, *, confirm: int | None = None) -> dict[str, int]:
        """Cancel what waits in a queue, of all tenants, if it is no more than `confirm`; without it only count.

        Returns:
            How many `matched`, and of them were `canceled`, are `canceling`, or had `ended` by themselves.
        """
        return self._carry_out(persistence.purge_queue(name, self._patience, confirm=confirm))

    def workers(self) -> list[dict[str, Any]]:
        """The workers that are alive."""
        return self._call(operator_calls.listing("workers"))

    def webhook_deliveries(self, *, limit: int = 50) -> list[dict[str, Any]]:
        """What was told to webhooks, newest first."""
        return self._call(operator_calls.webhook_deliveries(limit=limit))

    def replay_webhook(self, delivery_id: str) -> dict[str, Any]:
        """Have a webhook delivered again, under its own id."""
        return self._call(operator_calls.replay_webhook(delivery_id))

    def replay_webhooks(self, *, status: str = "failed", since: str | None = None, limit: int = 100) -> list[str]:
        """Have all webhooks delivered again that failed, or are `status`, since a time; answers their ids."""
        return self._call(operator_calls.replay_webhooks(status=status, since=since, limit=limit))

    def webhook_events(self, *, after: str | None = None, wait_s: float = 0, limit: int = 50) -> dict[str, Any]:
        """What couriers began to tell after a `cursor`, each with `headers` and `body`; without one, where to begin."""
        return self._call(endpoint_calls.listen(after=after, wait_s=wait_s, limit=limit))

    def webhook_endpoints(self) -> list[dict[str, Any]]:
        """The registered receivers of webhooks, the oldest first."""
        return self._call(endpoint_calls.listing())

    def register_webhook(self, url: str, **fields: Any) -> dict[str, Any]:
        """Register a receiver, with `events`, `include`, `description`; its `secret` is never shown again."""
        return self._call(endpoint_calls.register({"url": url, **fields}))

    def change_webhook(self, endpoint_id: str, **fields: Any) -> dict[str, Any]:
        """Change `url`, `events`, `include`, `description` or `enabled` of a registered receiver."""
        return self._call(endpoint_calls.change(endpoint_id, fields))

    def rotate_webhook(self, endpoint_id: str) -> dict[str, Any]:
        """Replace a receiver's secret; the one before signs along for a day."""
        return self._call(endpoint_calls.rotate(endpoint_id))

    def test_webhook(self, endpoint_id: str) -> dict[str, Any]:
        """Send a signed `endpoint.test` to a registered receiver; answers with its `outcome`."""
        return self._call(endpoint_calls.test(endpoint_id))

    def forget_webhook(self, endpoint_id: str) -> None:
        """Forget a registered receiver."""
        self._call(endpoint_calls.forget(endpoint_id))

    def dead_letters(
        self, *, limit: int = 50, model: str | None = None, cause: str | None = None
    ) -> list[dict[str, Any]]:
        """Jobs that were given up, newest first: of a model (`name` or `name@3`), for a cause."""
        return self._call(operator_calls.dead_letters(limit=limit, model=model, cause=cause))

    def dead_letter(self, job_id: str) -> dict[str, Any]:
        """A job that was given up, with its input."""
        return self._call(operator_calls.dead_letter(job_id))

    def redrive(self, job_id: str) -> JobRecord:
        """Send a job that was given up again, as a new job; a second time answers that one."""
        return self._call(operator_calls.redrive(job_id))

    def usage(
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
        return self._call(operator_calls.usage(first=first, last=last, tenant=tenant))

    def limits(self) -> dict[str, Any]:
        """What bounds the caller: requests a second, waiting and running jobs, bytes, seconds."""
        return self._call(operator_calls.document("limits"))

    def scaling(self) -> dict[str, Any]:
        """How many workers there should be, and why."""
        return self._call(operator_calls.document("scaling"))

    def _call(self, call: HttpCall[T]) -> T:
        return self._carry_out(persist(call, self._patience))

    def _carry_out(self, plan: Plan[T]) -> T:
        step = advance(plan, None)
        while not isinstance(step, Done):
            step = advance(plan, self._do(step))
        return step.value

    def _do(self, step: Send | Pause) -> Answer | Unavailable | None:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        try:
            return answer_of(self._http.request(**request_of(step.call)))
        except httpx2.TransportError as error:
            return unreachable(self.url, error)
