"""Strict durability: nothing is accepted that the disk does not have, and one sync serves many submissions."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api.durability import Strict
from headrace.errors import NotDurable, SettingsError
from headrace.keys import Keys
from headrace.sync_redis import SyncRedis
from scheduler.embedded_server import EmbeddedServer, free_port

pytestmark = pytest.mark.slow

BODY: dict[str, Any] = {"model": "greeter", "input": {"text": "world"}}
StartServer = Callable[..., EmbeddedServer]


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    started: list[EmbeddedServer] = []

    def start(**options: str) -> EmbeddedServer:
        server = EmbeddedServer(folder=tmp_path / f"server{len(started)}", port=free_port(), options=options)
        server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


def syncs(server: EmbeddedServer) -> int:
    connection = SyncRedis(url=server.url)
    stats = connection.client.info("commandstats")
    connection.close()
    calls: int = stats.get("cmdstat_waitaof", {}).get("calls", 0)
    return calls


async def test_one_sync_of_the_disk_serves_many_submissions(
    api_with: Callable[..., Any], start_server: StartServer
) -> None:
    server = start_server(appendfsync="everysec")
    async with api_with(redis_url=server.url, durability="strict") as api:
        before = syncs(server)
        answers = await asyncio.gather(*(api.post("/v1/jobs", json=BODY) for _ in range(64)))

    assert {202} == {answer.status_code for answer in answers}
    assert 1 <= syncs(server) - before <= 16


async def test_without_strict_durability_nobody_waits_for_the_disk(
    api_with: Callable[..., Any], start_server: StartServer
) -> None:
    server = start_server(appendfsync="everysec")
    async with api_with(redis_url=server.url) as api:
        answer = await api.post("/v1/jobs", json=BODY)

    assert (202, 0) == (answer.status_code, syncs(server))


async def test_a_server_without_an_append_only_file_is_refused_at_the_start(
    api_with: Callable[..., Any], start_server: StartServer
) -> None:
    server = start_server(appendonly="no")

    with pytest.raises(SettingsError, match=r"appendonly yes.*HEADRACE_DURABILITY=everysec"):
        async with api_with(redis_url=server.url, durability="strict"):
            pass


async def test_a_disk_that_does_not_follow_refuses_until_it_does(start_server: StartServer) -> None:
    server = start_server(appendfsync="no")
    barrier = Strict(url=server.url, keys=Keys(), limit_s=0.2)

    await barrier.start()
    with pytest.raises(NotDurable, match=r"not followed within 0\.2 s"):
        await barrier.reached()
    with pytest.raises(NotDurable):
        barrier.require()
    let_the_disk_follow(server)
    await asyncio.wait_for(until_it_follows(barrier), 30)

    barrier.require()
    await barrier.close()


def let_the_disk_follow(server: EmbeddedServer) -> None:
    connection = SyncRedis(url=server.url)
    connection.client.config_set("appendfsync", "always")
    connection.close()


async def until_it_follows(barrier: Strict) -> None:
    while barrier.problem:
        try:
            await barrier.reached()
        except NotDurable:
            await asyncio.sleep(0.05)
