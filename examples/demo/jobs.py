"""Sends sentences through the queue over HTTP, each as a job of its own."""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from headrace.async_client import AsyncClient

#: Jobs under way at once. Their requests share few connections' worth of work; more would only wait in the client.
_WINDOW = 128
_ALONE = 20


class Answer(NamedTuple):
    """What came back for one sentence."""

    vector: list[float]
    batch_size: int
    #: From accepted to finished.
    latency_ms: float


class Answers(NamedTuple):
    """All sentences at once."""

    answers: list[Answer]
    took_s: float


async def embed_all(client: AsyncClient, texts: Sequence[str], advance: Callable[[], None]) -> Answers:
    """Submit every text, wait for every result; `advance` is called once for each.

    Raises:
        HeadraceError: if one of the jobs does not succeed.
    """
    window = asyncio.Semaphore(_WINDOW)

    async def one(text: str) -> Answer:
        async with window:
            job = await client.submit("embedder", {"text": text})
            record = await job.wait()
        advance()
        return _answer(record.result(), record.document)

    began = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(one(text)) for text in texts]
    return Answers([task.result() for task in running], time.monotonic() - began)


async def embed_alone(client: AsyncClient, text: str) -> list[float]:
    """Milliseconds from request to result of single jobs, one after another."""
    took_ms = []
    for _ in range(_ALONE):
        began = time.monotonic()
        await client.run("embedder", {"text": text})
        took_ms.append(1000 * (time.monotonic() - began))
    return took_ms


def _answer(vector: list[float], document: Any) -> Answer:
    times = document["times"]
    created, finished = (datetime.fromisoformat(times[name]) for name in ("created", "finished"))
    return Answer(vector, document["batch_size"], 1000 * (finished - created).total_seconds())
