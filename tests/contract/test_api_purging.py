"""All that waits in a queue canceled at once: whose ever it is, never more than was said, and never silently."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from api import purging
from headrace.client import Client
from headrace.keys import Keys
from headrace.redis_op import RedisOp
from headrace.replies import read_texts
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from headrace.tiers import Tier
from tests.contract.conftest import HandWorker
from tests.contract.keyring import Keyring

BODY: dict[str, Any] = {"model": "greeter", "input": {"text": "world"}}
URL = "/v1/queues/greeter@1:standard/purge"
NOTHING = {"name": "greeter@1:standard", "canceled": 0, "canceling": 0, "ended": 0, "more": False}


async def submitted(api: httpx2.AsyncClient, **fields: Any) -> str:
    job_id: str = (await api.post("/v1/jobs", json={**BODY, **fields})).json()["id"]
    return job_id


async def statuses(api: httpx2.AsyncClient) -> dict[str, str]:
    return {record["id"]: record["status"] for record in (await api.get("/v1/jobs")).json()["jobs"]}


async def test_what_waits_is_canceled_and_nothing_else(
    api: httpx2.AsyncClient, worker: HandWorker, connection: SyncRedis, store: JobStore
) -> None:
    running, held, large = [await submitted(api) for _ in range(3)]
    first, _, outgrown = worker.claim()
    worker.start(first)
    connection.run(store.release([outgrown.lease], outgrown_bytes=4000))
    ready, later = await submitted(api), await submitted(api, options={"not_before": 600})
    other = [await submitted(api, options={"tier": "spot", **when}) for when in ({}, {"not_before": 600})]

    counted = [(await api.post(URL + how)).json() for how in ("", "?confirm=9&dry_run=true")]
    before = await statuses(api)
    answer = await api.post(f"{URL}?confirm=3")

    assert [{**NOTHING, "matched": 3}] * 2 == counted
    assert {"running": 1, "queued": 6} == {status: [*before.values()].count(status) for status in before.values()}
    assert {**NOTHING, "matched": 3, "canceled": 3} == answer.json()
    after = await statuses(api)
    assert ["running", "queued"] == [after[name] for name in (running, held)]
    assert ["canceled"] * 3 == [after[name] for name in (large, ready, later)]
    assert ["queued"] * 2 == [after[name] for name in other]
    assert {**NOTHING, "matched": 0} == (await api.post(f"{URL}?confirm=0")).json()


async def test_more_jobs_than_were_confirmed_are_left_alone(api: httpx2.AsyncClient) -> None:
    for _ in range(3):
        await submitted(api)

    refused = await api.post(f"{URL}?confirm=2")

    assert (409, "conflict") == (refused.status_code, refused.json()["code"])
    assert "3 jobs are meant, and 2 were confirmed" in refused.json()["detail"]
    assert {"queued"} == set((await statuses(api)).values())


async def test_whoever_wanted_to_be_told_of_an_end_is(
    api: httpx2.AsyncClient, connection: SyncRedis, keys: Keys
) -> None:
    job_id = await submitted(api, webhook={"url": "https://example.com/done"})

    await api.post(f"{URL}?confirm=1")

    assert [f"default/{job_id}:1"] == connection.run(RedisOp(read_texts, ("ZRANGE", keys.outbox, 0, -1)))


async def test_jobs_of_every_tenant_are_meant(api: httpx2.AsyncClient, connection: SyncRedis, keys: Keys) -> None:
    keyring = Keyring(connection, keys)
    for tenant in ("acme", "rival"):
        await api.post("/v1/jobs", json=BODY, headers=keyring.headers(tenant, "submit"))

    refused = await api.post(f"{URL}?confirm=9", headers=keyring.headers("acme", "submit", "observe"))
    answer = await api.post(f"{URL}?confirm=2", headers=keyring.headers("acme", "admin"))

    assert 403 == refused.status_code
    assert (2, 2) == (answer.json()["matched"], answer.json()["canceled"])


async def test_a_queue_with_nothing_in_it_has_nothing_to_cancel_and_one_that_is_none_is_404(
    api: httpx2.AsyncClient,
) -> None:
    assert {**NOTHING, "matched": 0} == (await api.post(URL)).json()
    assert 404 == (await api.post("/v1/queues/greeter@7:standard/purge")).status_code


def test_what_is_more_than_one_request_cancels_takes_several(
    live_url: str, worker: HandWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purging, "MOST", 2)
    monkeypatch.setattr(purging, "_STRETCH", 1)
    with Client(live_url) as client:
        for number in range(7):
            client.submit("greeter", {"text": "hi"}, not_before=600 * (number % 2))

        counted = client.purge_queue("greeter@1:standard")
        done = client.purge_queue("greeter@1:standard", confirm=7)

        assert {"matched": 7, "canceled": 0, "canceling": 0, "ended": 0} == counted
        assert {**counted, "canceled": 7} == done
        assert {"canceled"} == {record.status for record in client.jobs()}
    assert [] == worker.claim(tier=Tier.STANDARD)


async def test_what_somebody_else_wrote_among_the_jobs_stops_nobody(
    api_with: Callable[..., Any], connection: SyncRedis, keys: Keys
) -> None:
    async with api_with() as api:
        await submitted(api)
        ready = keys.ready("greeter@1:standard", "default")
        connection.run(RedisOp(int, ("ZADD", ready, 1, "no job at all", 2, b"\xff")))
        connection.client.zadd(keys.delayed, {"default/none": 10**15})

        answer = (await api.post(f"{URL}?confirm=3")).json()

    assert (3, 1, 2) == (answer["matched"], answer["canceled"], answer["ended"])
