"""Sends a burst: every text in each tier, each as a job of its own, every tenth with a webhook, all at once."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from headrace.async_client import AsyncClient
from headrace.errors import HeadraceError
from headrace.handles import AsyncJob
from headrace.jobs import JobStatus
from headrace.tiers import Tier

T = TypeVar("T")
Value = TypeVar("Value")

#: One job of so many has a webhook; as this is no multiple of the number of tiers, each tier gets its part.
WEBHOOK_EVERY = 10
_MODEL = "embedder"
#: Requests of single jobs that are under way at once.
_WINDOW = 32


class Outcome(NamedTuple):
    """What became of one job."""

    id: str
    tier: Tier
    status: JobStatus
    #: Forward passes begun.
    attempts: int
    #: From accepted to the start of its forward pass; None if it never ran.
    waited_s: float | None


class Burst(NamedTuple):
    """What became of all jobs."""

    outcomes: list[Outcome]
    #: Ids of those that have a webhook.
    announced: set[str]
    #: From the first submission to the last one that was accepted.
    accepted_s: float
    #: From the first submission to the last end.
    took_s: float


async def send_burst(client: AsyncClient, texts: Sequence[str], *, receiver_url: str) -> Burst:
    """Submit all at once, those without a webhook many by one request, then wait for every end, whatever it is.

    Raises:
        HeadraceError: if a job was refused.
    """
    began = time.monotonic()
    all_jobs = list(enumerate((text, tier) for text in texts for tier in Tier))
    announced = [what for n, what in all_jobs if n % WEBHOOK_EVERY == 0]
    quiet = [what for n, what in all_jobs if n % WEBHOOK_EVERY]

    def announce(what: tuple[str, Tier]) -> Awaitable[AsyncJob]:
        text, tier = what
        return client.submit(_MODEL, {"text": text}, tier=tier, webhook=receiver_url)

    async with asyncio.TaskGroup() as tasks:
        singly = tasks.create_task(_in_window(announce, announced))
        at_once = [tasks.create_task(_submit_tier(client, quiet, tier)) for tier in Tier]
    jobs = [*singly.result(), *(job for task in at_once for job in task.result())]
    accepted_s = time.monotonic() - began
    records = await _in_window(AsyncJob.wait, jobs)
    return Burst(
        outcomes=[read_outcome(record.document) for record in records],
        announced={job.id for job in singly.result()},
        accepted_s=accepted_s,
        took_s=time.monotonic() - began,
    )


async def _submit_tier(client: AsyncClient, wanted: Iterable[tuple[str, Tier]], tier: Tier) -> list[AsyncJob]:
    values = [{"text": text} for text, its_tier in wanted if its_tier is tier]
    jobs = []
    for handed in await client.submit_many(_MODEL, values, tier=tier):
        if isinstance(handed, HeadraceError):
            raise handed
        jobs.append(handed)
    return jobs


def read_outcome(document: Mapping[str, Any]) -> Outcome:
    """Read the record of a job that has ended."""
    created, started = document["times"]["created"], document["times"]["started"]
    waited = datetime.fromisoformat(started) - datetime.fromisoformat(created) if started else None
    return Outcome(
        id=document["id"],
        tier=Tier(document["tier"]),
        status=JobStatus(document["status"]),
        attempts=document["attempts"],
        waited_s=waited.total_seconds() if waited is not None else None,
    )


async def _in_window(act: Callable[[Value], Awaitable[T]], values: Iterable[Value]) -> list[T]:
    """Do something with every value, `_WINDOW` of them at once."""
    places = asyncio.Semaphore(_WINDOW)

    async def one(value: Value) -> T:
        async with places:
            return await act(value)

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(one(value)) for value in values]
    return [task.result() for task in running]
