"""A caller that hangs up leaves its job be, unless it asked for it to be called off then."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx2
import orjson
import pytest
from fastapi import FastAPI

from api.services import Services
from tests.contract.conftest import HandWorker

BODY = orjson.dumps({"model": "greeter", "input": {"text": "world"}})


async def submit_and_hang_up(app: FastAPI, prefer: str, queued: Callable[[], int]) -> None:
    """Send a submission that waits, and go away once the job is stored."""
    is_stored, messages = asyncio.Event(), iter([{"type": "http.request", "body": BODY}])
    headers = [(b"content-type", b"application/json"), (b"prefer", prefer.encode())]
    scope = {"type": "http", "method": "POST", "path": "/v1/jobs", "query_string": b"", "headers": headers}

    async def receive() -> dict[str, Any]:
        if (message := next(messages, None)) is not None:
            return message
        await is_stored.wait()
        return {"type": "http.disconnect"}

    async def send(_: Any) -> None:
        """Nobody is there any more."""

    serving = asyncio.create_task(app(scope, receive, send))
    async with asyncio.timeout(30):
        while not queued():  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0.005)
        is_stored.set()
        await serving


@pytest.mark.parametrize(
    ("prefer", "status"),
    [("wait=60, cancel-on-disconnect", "canceled"), ("wait=0.2", "queued")],
    ids=["asked", "not asked"],
)
async def test_a_job_is_called_off_when_its_submitter_hangs_up_if_that_was_asked_for(
    app: FastAPI, api: httpx2.AsyncClient, queued: Callable[[], int], prefer: str, status: str
) -> None:
    await submit_and_hang_up(app, prefer, queued)

    [record] = (await api.get("/v1/jobs")).json()["jobs"]
    assert record["status"] == status


async def test_who_stays_gets_the_result(
    api: httpx2.AsyncClient, worker: HandWorker, queued: Callable[[], int]
) -> None:
    headers = {"Prefer": "wait=30, cancel-on-disconnect", "Idempotency-Key": "k", "Content-Type": "application/json"}
    asking = asyncio.create_task(api.post("/v1/jobs", content=BODY, headers=headers))
    async with asyncio.timeout(30):
        while not queued():  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0.005)
    worker.succeed(worker.claim()[0], b'"hello"')

    answer, again = await asking, await api.post("/v1/jobs", content=BODY, headers=headers)

    assert (answer.status_code, answer.json()["result"]) == (200, "hello")
    assert answer.headers["preference-applied"] == "wait=30, cancel-on-disconnect"
    assert (again.json()["result"], again.headers["idempotency-replayed"]) == ("hello", "true")


async def test_where_too_many_wait_nothing_is_stored(
    services: Services, api: httpx2.AsyncClient, queued: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services.openings, "_most_waits", 0)
    headers = {"Prefer": "wait=30, cancel-on-disconnect", "Content-Type": "application/json"}

    answer = await api.post("/v1/jobs", content=BODY, headers=headers)

    assert (answer.status_code, answer.json()["code"], queued()) == (429, "too_many_open_waits", 0)
