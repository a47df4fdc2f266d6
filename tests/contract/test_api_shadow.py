"""Copies for a version that is only watched: made of new jobs alone, seen by nobody, in nobody's way."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from headrace.groups import group_of
from headrace.jobs import Job
from headrace.keys import Keys
from headrace.model_ref import ModelRef
from headrace.redis_op import RedisOp
from headrace.shadow import SHADOW_TENANT
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from headrace.tiers import Tier
from registry.registry import Registry
from tests.contract.conftest import GREETER

BODY: dict[str, Any] = {"model": "greeter", "input": {"text": "world"}}
SHADOW = ModelRef("greeter", 2)


@pytest.fixture
def shadowed(tmp_path: Path) -> Registry:
    """Version 1 has all traffic, and 2 gets a copy of every job."""
    registry, folder = Registry(url=(tmp_path / "own").as_uri()), tmp_path / "greeter"
    folder.mkdir()
    for source in (GREETER, GREETER.replace("hello", "good day")):
        (folder / "model.py").write_text(source)
        registry.push(folder, name="greeter", release=source == GREETER)
    registry.shadow(SHADOW, percent=100)
    return registry


@pytest.fixture
def url(shadowed: Registry, tmp_path: Path) -> str:
    assert shadowed.releases()["greeter"].shadows == {2: 100}
    return (tmp_path / "own").as_uri()


class Copies:
    """What is stored for the shadow."""

    def __init__(self, connection: SyncRedis, keys: Keys, store: JobStore) -> None:
        self._connection, self._keys, self._store = connection, keys, store

    async def wait_for(self, count: int) -> list[Job]:
        """Wait until there are so many; no caller waits for them, so they come a moment later."""
        for _ in range(200):
            if len(self._ids()) >= count:
                break
            await asyncio.sleep(0.02)
        jobs = [self._connection.run(self._store.read(f"{SHADOW_TENANT}/{found}")) for found in self._ids()]
        assert len(jobs) == count
        return [job for job in jobs if job is not None]

    def _ids(self) -> list[str]:
        op = RedisOp(list[bytes], ("ZRANGE", self._keys.index(SHADOW_TENANT), 0, -1))
        return [member.decode().rpartition("/")[2] for member in self._connection.run(op)]


@pytest.fixture
def copies(connection: SyncRedis, keys: Keys, store: JobStore) -> Copies:
    return Copies(connection, keys, store)


async def test_a_new_job_has_a_copy_of_the_last_tier_that_runs_once_and_soon_or_not_at_all(
    api_with: Callable[..., Any], url: str, copies: Copies, connection: SyncRedis, store: JobStore
) -> None:
    async with api_with(registry_url=url) as api:
        answer = await api.post("/v1/jobs", json={**BODY, "options": {"tier": "priority"}})
        [copy] = await copies.wait_for(1)

    assert answer.json()["model"]["version"] == 1
    assert (SHADOW, Tier.SPOT, 1) == (copy.ref, copy.tier, copy.max_attempts)
    assert connection.run(store.depths([group_of(SHADOW, Tier.SPOT)]))[0].depth == 1
    assert connection.run(RedisOp(orjson.loads, ("GET", store.keys.input(copy.member)))) == BODY["input"]


async def test_a_copy_has_the_seed_of_its_job_though_its_version_may_not_heed_it(
    api_with: Callable[..., Any], tmp_path: Path, copies: Copies
) -> None:
    registry, folder = Registry(url=(tmp_path / "own").as_uri()), tmp_path / "greeter"
    folder.mkdir()
    for source in (GREETER + "    def seed(self, item, seed): return item\n", GREETER):
        (folder / "model.py").write_text(source)
        registry.push(folder, name="greeter", release=source != GREETER)
    registry.shadow(SHADOW, percent=100)

    async with api_with(registry_url=(tmp_path / "own").as_uri()) as api:
        answer = await api.post("/v1/jobs", json={**BODY, "options": {"seed": 7}})
        [copy] = await copies.wait_for(1)

    assert (202, 7, 7) == (answer.status_code, answer.json()["seed"], copy.seed)


async def test_nobody_can_ask_for_a_copy(api_with: Callable[..., Any], url: str, copies: Copies) -> None:
    async with api_with(registry_url=url) as api:
        await api.post("/v1/jobs", json=BODY)
        [copy] = await copies.wait_for(1)
        answers: list[httpx2.Response] = [await api.get(f"/v1/jobs/{copy.id}"), await api.get("/v1/jobs")]

    assert answers[0].status_code == 404
    assert copy.id not in answers[1].text


async def test_the_same_request_again_makes_no_second_copy(
    api_with: Callable[..., Any], url: str, copies: Copies
) -> None:
    async with api_with(registry_url=url) as api:
        for _ in range(3):
            await api.post("/v1/jobs", json=BODY, headers={"Idempotency-Key": "once"})
        await api.post("/v1/jobs", json=BODY)

        await copies.wait_for(2)


async def test_a_copy_that_finds_no_place_harms_no_job(api_with: Callable[..., Any], url: str, copies: Copies) -> None:
    async with api_with(registry_url=url, queue_cap=1) as api:
        bodies = [{**BODY, "options": {"tier": tier}} for tier in ("standard", "priority", "spot")]
        codes = [(await api.post("/v1/jobs", json=body)).status_code for body in bodies]

        await copies.wait_for(1)

    assert codes == [202] * 3


async def test_without_a_shadow_there_are_no_copies(
    api_with: Callable[..., Any], url: str, shadowed: Registry, copies: Copies
) -> None:
    shadowed.shadow(SHADOW, percent=0)

    async with api_with(registry_url=url) as api:
        assert (await api.post("/v1/jobs", json=BODY)).status_code == 202

    await copies.wait_for(0)
