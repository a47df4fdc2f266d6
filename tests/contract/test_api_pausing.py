"""Queues that an operator pauses and lets go on: what callers see of them, and what is refused."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from headrace.keys import Keys
from headrace.sync_redis import SyncRedis
from headrace.tiers import Tier
from tests.contract.conftest import HandWorker

BODY: dict[str, Any] = {"model": "greeter", "input": {"text": "world"}}
QUEUE = "greeter@1:standard"


async def order(api: httpx2.AsyncClient, what: str, *, queue: str = QUEUE, **params: Any) -> httpx2.Response:
    return await api.post(f"/v1/queues/{queue}/{what}", params=params)


async def queues(api: httpx2.AsyncClient) -> dict[str, dict[str, Any]]:
    listed = (await api.get("/v1/queues")).json()["queues"]
    return {queue["name"]: queue for queue in listed}


async def test_a_queue_is_called_what_the_list_calls_it_and_shown_with_since_when_and_why_it_is_paused(
    api: httpx2.AsyncClient,
) -> None:
    await api.post("/v1/jobs", json=BODY)

    paused = (await order(api, "pause", reason="bad images")).json()

    shown = await queues(api)
    assert {QUEUE, "greeter@1:priority", "greeter@1:spot"} == set(shown)
    assert {"name": QUEUE, "paused": shown[QUEUE]["paused"]} == paused
    assert "bad images" == shown[QUEUE]["paused"]["reason"]
    assert (1, "queue_paused") == (shown[QUEUE]["depth"], shown[QUEUE]["reason"])
    assert None is shown["greeter@1:spot"]["paused"]


async def test_paused_twice_is_paused_once_and_resumed_twice_goes_on(api: httpx2.AsyncClient) -> None:
    first = await order(api, "pause", reason="bad images")
    again = await order(api, "pause")
    resumed = [await order(api, "resume"), await order(api, "resume")]

    assert (200, first.json()) == (again.status_code, again.json())
    assert [(200, {"name": QUEUE, "paused": None})] * 2 == [(each.status_code, each.json()) for each in resumed]
    assert None is (await queues(api))[QUEUE]["paused"]


async def test_jobs_are_accepted_and_wait_until_the_queue_goes_on(api: httpx2.AsyncClient, worker: HandWorker) -> None:
    await order(api, "pause")

    answers = [
        await api.post("/v1/jobs", json=BODY),
        await api.post("/v1/jobs", json={**BODY, "options": {"tier": "spot"}}),
    ]

    assert [202, 202] == [answer.status_code for answer in answers]
    assert [] == worker.claim()
    assert 1 == len(worker.claim(tier=Tier.SPOT))
    await order(api, "resume")
    assert 1 == len(worker.claim())


async def test_another_api_process_says_so_too(api: httpx2.AsyncClient, api_with: Callable[..., Any]) -> None:
    before = (await api.post("/v1/jobs", json=BODY)).json()
    async with api_with() as other:
        await order(other, "pause")

    until = time.monotonic() + 50
    while (now := (await api.get(before["links"]["self"])).json())["reason"] == before["reason"]:
        assert time.monotonic() < until
        await asyncio.sleep(0.1)
    assert "queue_paused" == now["reason"]


@pytest.mark.parametrize("what", ["pause", "resume"])
@pytest.mark.parametrize("queue", ["greeter@2:standard", "greeter@1:noble", "greeter", "nobody@1:spot"])
async def test_a_queue_that_is_none_is_404(api: httpx2.AsyncClient, what: str, queue: str) -> None:
    answer = await order(api, what, queue=queue)

    assert (404, "queue_not_found") == (answer.status_code, answer.json()["code"])
    assert f"no queue is called '{queue}'" in answer.json()["detail"]


async def test_a_queue_of_a_version_that_is_no_longer_released_can_be_paused_and_is_shown_while_it_is(
    api: httpx2.AsyncClient, connection: SyncRedis, keys: Keys
) -> None:
    connection.client.zadd(keys.groups, {"old@3:spot>4000": 1})

    answer = await order(api, "pause", queue="old@3:spot")

    assert 200 == answer.status_code
    assert "old@3:spot" in await queues(api)
    await order(api, "resume", queue="old@3:spot")
    assert "old@3:spot" not in await queues(api)


async def test_a_reason_that_is_too_long_names_the_parameter(api: httpx2.AsyncClient) -> None:
    answer = await order(api, "pause", reason="x" * 201)

    assert (422, "/query/reason") == (answer.status_code, answer.json()["errors"][0]["pointer"])


async def test_a_deadline_that_must_be_kept_cannot_be_promised_there(api: httpx2.AsyncClient) -> None:
    await order(api, "pause", reason="bad images")

    refused = await api.post("/v1/jobs", json={**BODY, "options": {"admission": "strict", "deadline": 60}})
    accepted = await api.post("/v1/jobs", json={**BODY, "options": {"deadline": 60}})

    assert (409, "deadline_unattainable") == (refused.status_code, refused.json()["code"])
    assert "nobody can run it now (paused by an operator since" in refused.json()["detail"]
    assert 202 == accepted.status_code


async def test_a_job_whose_time_has_not_come_says_that_first(api: httpx2.AsyncClient) -> None:
    await order(api, "pause")

    job = (await api.post("/v1/jobs", json={**BODY, "options": {"not_before": 600}})).json()

    assert ("scheduled", None) == (job["reason"], job["queue"]["eta"])


@pytest.mark.usefixtures("slow_worker")
async def test_no_limit_of_a_wait_refuses_jobs_of_a_queue_that_is_paused(api_with: Callable[..., Any]) -> None:
    async with api_with(wait_limits_s={Tier.STANDARD: 4.0, Tier.SPOT: 4.0}) as api:
        await order(api, "pause")
        paused = [(await api.post("/v1/jobs", json=BODY)).status_code for _ in range(8)]
        spot = [(await api.post("/v1/jobs", json={**BODY, "options": {"tier": "spot"}})).status_code for _ in range(2)]

    # Whoever comes in a tier that goes on waits for none of them.
    assert [202] * 10 == [*paused, *spot]
