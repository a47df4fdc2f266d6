"""Redis dies and comes back under an API that keeps running."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from headrace.model_ref import ModelRef
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from scheduler.embedded_server import EmbeddedServer, free_port

pytestmark = pytest.mark.slow

BODY: dict[str, Any] = {"model": "greeter", "input": {"text": "world"}}


@pytest.fixture
async def own_server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    server = EmbeddedServer(folder=tmp_path / "server", port=free_port(), options={"appendfsync": "always"})
    server.start()
    yield server
    server.stop()


async def eventually(api: httpx2.AsyncClient, path: str, status: int) -> httpx2.Response:
    async with asyncio.timeout(20):
        while (answer := await api.get(path)).status_code != status:  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0.02)
    return answer


async def test_while_redis_is_away_jobs_are_refused_quickly_and_after_its_return_all_is_as_before(
    api_with: Callable[..., Any], own_server: EmbeddedServer
) -> None:
    async with api_with(redis_url=own_server.url) as api:
        accepted = await api.post("/v1/jobs", json=BODY)

        own_server.kill()
        await eventually(api, "/readyz", 503)
        refused = await api.post("/v1/jobs", json=BODY)
        own_server.start()
        await eventually(api, "/readyz", 200)
        again = await api.get(accepted.headers["location"])
        another = await api.post("/v1/jobs", json=BODY)

    assert (
        refused.status_code,
        refused.json()["code"],
        refused.json()["retryable"],
    ) == (503, "redis_unavailable", True)
    assert again.json()["status"] == "queued"
    assert another.status_code == 202


async def test_a_wait_outlives_a_restart_of_redis(
    api_with: Callable[..., Any], own_server: EmbeddedServer, store: JobStore
) -> None:
    async with api_with(redis_url=own_server.url) as api:
        path = (await api.post("/v1/jobs", json=BODY)).headers["location"]
        answer = asyncio.create_task(api.get(path, headers={"Prefer": "wait=60"}))
        await asyncio.sleep(0.1)
        own_server.kill()
        own_server.start()
        connection = SyncRedis(url=own_server.url)
        connection.run(store.cancel(f"default/{path.rpartition('/')[2]}", result_ttl_s=60))
        connection.close()

        record = (await answer).json()

    assert record["status"] == "canceled"


async def test_a_redis_that_hangs_is_not_waited_for(api_with: Callable[..., Any], own_server: EmbeddedServer) -> None:
    async with api_with(redis_url=own_server.url) as api:
        await api.post("/v1/jobs", json=BODY)
        control = SyncRedis(url=own_server.url)
        control.client.client_pause(600_000)
        # Limited to a second and a half; whoever waited for Redis would wait for ten minutes.
        refused = await asyncio.wait_for(api.post("/v1/jobs", json=BODY), 60)
        own_server.kill()
        control.close()

    assert refused.status_code == 503


async def test_a_server_that_is_full_answers_503_and_stores_nothing(
    api_with: Callable[..., Any], own_server: EmbeddedServer, store: JobStore
) -> None:
    async with api_with(redis_url=own_server.url) as api:
        await api.get("/v1/jobs/nobody")  # the secret of the ids is there before memory runs out
        connection = SyncRedis(url=own_server.url)
        connection.client.config_set("maxmemory", "1mb")
        connection.client.config_set("maxmemory", "1")
        refused = await api.post("/v1/jobs", json=BODY)
        depths = connection.run(store.depths([f"{ModelRef('greeter', 1)}:standard"]))
        connection.close()

    assert (refused.status_code, refused.json()["code"]) == (503, "redis_unavailable")
    assert "OOM" in refused.json()["detail"]
    assert [queue.depth for queue in depths] == [0]
