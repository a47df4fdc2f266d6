"""A job that was submitted, as a handle of the client that handed it in."""

from typing import TYPE_CHECKING, Any

from headrace.job_record import JobRecord

if TYPE_CHECKING:
    from headrace.async_client import AsyncClient
    from headrace.client import Client


class _Handle:
    def __init__(self, client: Any, accepted: JobRecord) -> None:
        self._client = client
        self.id = accepted.id
        #: Its record as it was when it was handed in.
        self.accepted = accepted

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    def _repr_html_(self) -> str:
        """What a notebook shows: how it was handed in; its `record()` is how it is now."""
        return self.accepted._repr_html_()


class Job(_Handle):
    """A job that was submitted, as a handle."""

    _client: "Client"

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


class AsyncJob(_Handle):
    """The same for asyncio."""

    _client: "AsyncClient"

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
