"""Client and AsyncClient: submit jobs over HTTP, wait for them, fetch results.

    with Client() as client:
        vector = client.run("embedder", {"text": "hello"})
        vectors = client.map("embedder", ({"text": line} for line in lines))

Every call is tried again while the API is busy, restarting or out of reach; a submission carries a key, so that this
makes no job twice. Both clients carry out the same plans (`persistence`) of the same calls (`http_call`).
"""

import asyncio
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2

from headrace import http_call, persistence
from headrace.errors import HeadraceError, Unavailable
from headrace.http_call import Answer, HttpCall, JobRecord
from headrace.persistence import Done, Patience, Pause, Plan, Send, advance, first_wait_s, persist, unreachable
from headrace.running import find_running
from headrace.settings import get_settings
from headrace.window import DEFAULT_WINDOW, Progress, in_window, run_apart

T = TypeVar("T")

_CONNECT_S = 5.0
_ANSWER_S = 15.0
_LIMITS = httpx2.Limits(max_connections=2 * DEFAULT_WINDOW, max_keepalive_connections=DEFAULT_WINDOW)


class Job:
    """A job that was submitted, as a handle."""

    def __init__(self, client: "Client", accepted: JobRecord) -> None:
        self._client = client
        self.id = accepted.id
        #: Its record as it was when it was handed in.
        self.accepted = accepted

    def __repr__(self) -> str:
        return f"Job({self.id!r})"

    def record(self) -> JobRecord:
        """How it is now."""
        return self._client.get(self.id)

    def wait(self, *, timeout_s: float | None = None) -> JobRecord:
        """Wait until it has ended, however it ends."""
        return self._client.wait(self.id, timeout_s=timeout_s)

    def result(self, *, timeout_s: float | None = None) -> Any:
        """Wait for its result; raises JobNotSucceeded if it ends without one."""
        return self.wait(timeout_s=timeout_s).result()

    def cancel(self) -> JobRecord:
        """Call it off."""
        return self._client.cancel(self.id)


class AsyncJob:
    """A job that was submitted, as a handle."""

    def __init__(self, client: "AsyncClient", accepted: JobRecord) -> None:
        self._client = client
        self.id = accepted.id
        #: Its record as it was when it was handed in.
        self.accepted = accepted

    def __repr__(self) -> str:
        return f"AsyncJob({self.id!r})"

    async def record(self) -> JobRecord:
        """How it is now."""
        return await self._client.get(self.id)

    async def wait(self, *, timeout_s: float | None = None) -> JobRecord:
        """Wait until it has ended, however it ends."""
        return await self._client.wait(self.id, timeout_s=timeout_s)

    async def result(self, *, timeout_s: float | None = None) -> Any:
        """Wait for its result; raises JobNotSucceeded if it ends without one."""
        return (await self.wait(timeout_s=timeout_s)).result()

    async def cancel(self) -> JobRecord:
        """Call it off."""
        return await self._client.cancel(self.id)


class Client:
    """A blocking client; may be shared between threads.

    Args:
        url: of the API; else the setting `url`; else where `headrace up` runs on this folder.
        patience: when to give up.
        transport: what carries requests instead of the network, for tests.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        patience: Patience | None = None,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self.url = url or _default_url()
        self._patience = patience or Patience()
        self._http = httpx2.Client(base_url=self.url, limits=_LIMITS, transport=transport, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def submit(
        self, model: str, value: Any, *, webhook: str | None = None, key: str | None = None, **options: Any
    ) -> Job:
        """Hand in one input.

        Args:
            model: name, or name@version.
            value: the input.
            webhook: URL that gets a signed POST when the job has ended.
            key: makes repeating it later safe too.
            options: the API's: tier, deadline, …
        """
        call = http_call.submit(model, value, options=options, webhook=webhook, key=key)
        return Job(self, self._call(call))

    def run(self, model: str, value: Any, *, timeout_s: float | None = None, **options: Any) -> Any:
        """Submit one input and wait for its result.

        Raises:
            JobNotSucceeded: if the job ends without a result.
            WaitTimeout: if it has not ended in time.
        """
        call = http_call.submit(model, value, options=options, wait_s=first_wait_s(timeout_s))
        return self._carry_out(persistence.run(call, self._patience, timeout_s=timeout_s)).result()

    def map(
        self,
        model: str,
        values: Iterable[Any],
        *,
        window: int = DEFAULT_WINDOW,
        progress: Progress | None = None,
        return_errors: bool = False,
        **options: Any,
    ) -> list[Any]:
        """As `AsyncClient.map`, which it borrows: many requests are under way at once."""

        async def whole() -> list[Any]:
            async with AsyncClient(self.url, patience=self._patience) as client:
                return await client.map(
                    model, values, window=window, progress=progress, return_errors=return_errors, **options
                )

        return run_apart(whole)

    def wait(self, job_id: str, *, timeout_s: float | None = None) -> JobRecord:
        """Wait until a job has ended, however it ends; its record has the result.

        Raises:
            WaitTimeout: if it has not ended in time.
        """
        return self._carry_out(persistence.wait(job_id, self._patience, timeout_s=timeout_s))

    def get(self, job_id: str) -> JobRecord:
        """How a job is now."""
        return self._call(http_call.get(job_id))

    def result(self, job_id: str) -> Any:
        """The result of a job that has succeeded."""
        return self._call(http_call.result(job_id))

    def cancel(self, job_id: str) -> JobRecord:
        """Call a job off; one that has ended stays as it is."""
        return self._call(http_call.cancel(job_id))

    def jobs(self, *, limit: int = 50) -> list[JobRecord]:
        """The newest jobs, newest first."""
        return self._call(http_call.jobs(limit=limit))

    def models(self) -> list[dict[str, Any]]:
        """The released models."""
        return self._call(http_call.listing("models"))

    def queues(self) -> list[dict[str, Any]]:
        """What waits, by model and tier."""
        return self._call(http_call.listing("queues"))

    def workers(self) -> list[dict[str, Any]]:
        """The workers that are alive."""
        return self._call(http_call.listing("workers"))

    def webhook_deliveries(self, *, limit: int = 50) -> list[dict[str, Any]]:
        """What was told to webhooks, newest first."""
        return self._call(http_call.webhook_deliveries(limit=limit))

    def scaling(self) -> dict[str, Any]:
        """How many workers there should be, and why."""
        return self._call(http_call.scaling())

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
            return _answer(self._http.request(**_request(step.call)))
        except httpx2.TransportError as error:
            return unreachable(self.url, error)


class AsyncClient:
    """A client for asyncio.

    Args:
        url: of the API; else the setting `url`; else where `headrace up` runs on this folder.
        patience: when to give up.
        transport: what carries requests instead of the network, for tests.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        patience: Patience | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = url or _default_url()
        self._patience = patience or Patience()
        self._http = httpx2.AsyncClient(base_url=self.url, limits=_LIMITS, transport=transport, trust_env=False)

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
        self, model: str, value: Any, *, webhook: str | None = None, key: str | None = None, **options: Any
    ) -> AsyncJob:
        """As `Client.submit`."""
        call = http_call.submit(model, value, options=options, webhook=webhook, key=key)
        return AsyncJob(self, await self._call(call))

    async def run(self, model: str, value: Any, *, timeout_s: float | None = None, **options: Any) -> Any:
        """Submit one input and wait for its result.

        Raises:
            JobNotSucceeded: if the job ends without a result.
            WaitTimeout: if it has not ended in time.
        """
        call = http_call.submit(model, value, options=options, wait_s=first_wait_s(timeout_s))
        return (await self._carry_out(persistence.run(call, self._patience, timeout_s=timeout_s))).result()

    async def map(
        self,
        model: str,
        values: Iterable[Any],
        *,
        window: int = DEFAULT_WINDOW,
        progress: Progress | None = None,
        return_errors: bool = False,
        **options: Any,
    ) -> list[Any]:
        """Run a job per value, `window` of them under way at once; results in the order of the values.

        `values` is read as places in the window become free. Errors are raised once all jobs have ended, or with
        `return_errors` stand in the place of results.

        Raises:
            HeadraceError: the first error in the order of the values.
            Unavailable: as soon as the API stays out of reach.
        """

        async def act(value: Any) -> Any:
            return await self.run(model, value, **options)

        outcomes = await in_window(act, values, window=window, progress=progress)
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

    async def get(self, job_id: str) -> JobRecord:
        """How a job is now."""
        return await self._call(http_call.get(job_id))

    async def result(self, job_id: str) -> Any:
        """The result of a job that has succeeded."""
        return await self._call(http_call.result(job_id))

    async def cancel(self, job_id: str) -> JobRecord:
        """Call a job off; one that has ended stays as it is."""
        return await self._call(http_call.cancel(job_id))

    async def jobs(self, *, limit: int = 50) -> list[JobRecord]:
        """The newest jobs, newest first."""
        return await self._call(http_call.jobs(limit=limit))

    async def models(self) -> list[dict[str, Any]]:
        """The released models."""
        return await self._call(http_call.listing("models"))

    async def queues(self) -> list[dict[str, Any]]:
        """What waits, by model and tier."""
        return await self._call(http_call.listing("queues"))

    async def workers(self) -> list[dict[str, Any]]:
        """The workers that are alive."""
        return await self._call(http_call.listing("workers"))

    async def webhook_deliveries(self, *, limit: int = 50) -> list[dict[str, Any]]:
        """What was told to webhooks, newest first."""
        return await self._call(http_call.webhook_deliveries(limit=limit))

    async def scaling(self) -> dict[str, Any]:
        """How many workers there should be, and why."""
        return await self._call(http_call.scaling())

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
            return _answer(await self._http.request(**_request(step.call)))
        except httpx2.TransportError as error:
            return unreachable(self.url, error)


def _default_url() -> str:
    """What the settings say; if they say nothing, where `headrace up` runs on this folder; else the default."""
    settings = get_settings()
    if "url" not in settings.model_fields_set and (running := find_running(settings.data_dir)):
        return running.url
    return settings.url


def _request(call: HttpCall[Any]) -> dict[str, Any]:
    # Waiting for a free connection is no failure: `map` may have more under way than there are connections.
    timeout = httpx2.Timeout(call.wait_s + _ANSWER_S, connect=_CONNECT_S, pool=None)
    return {
        "method": call.method,
        "url": call.path,
        "headers": call.headers,
        "content": call.body,
        "timeout": timeout,
    }


def _answer(response: httpx2.Response) -> Answer:
    return Answer(response.status_code, response.headers, response.content)
