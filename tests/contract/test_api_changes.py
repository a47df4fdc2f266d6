"""Jobs that are changed, deleted and tried again."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest

from headrace.tiers import Tier
from tests.contract.conftest import HandWorker

BODY: dict[str, Any] = {"model": "greeter", "input": {"text": "world"}}


async def submitted(api: httpx2.AsyncClient, **fields: Any) -> str:
    path: str = (await api.post("/v1/jobs", json={**BODY, **fields})).json()["links"]["self"]
    return path


# --- changed -------------------------------------------------------------------------------------------------


async def test_a_job_that_waits_is_changed(api: httpx2.AsyncClient, worker: HandWorker) -> None:
    path = await submitted(api, metadata={"a": "b"}, options={"deadline": 600})
    changes = {"tier": "priority", "deadline": None, "metadata": {"c": "d"}}

    changed = await api.patch(path, json=changes)
    again = (await api.get(path)).json()

    record = changed.json()
    assert changed.status_code == 200
    assert (record["tier"], record["times"]["deadline"], record["metadata"]) == ("priority", None, {"c": "d"})
    assert again["metadata"] == {"c": "d"}
    assert [job.member.partition("/")[2] for job in worker.claim(tier=Tier.PRIORITY)] == [record["id"]]


async def test_an_ended_job_says_until_when_it_is_kept(api: httpx2.AsyncClient, worker: HandWorker) -> None:
    brief, usual = await submitted(api, options={"result_ttl_s": 60}), await submitted(api)
    before = (await api.get(usual)).json()["times"]["expires"]
    for job in worker.claim():
        worker.succeed(job)

    times = [(await api.get(path)).json()["times"] for path in (brief, usual)]

    kept = [datetime.fromisoformat(each["expires"]) - datetime.fromisoformat(each["finished"]) for each in times]
    assert (before, kept) == (None, [timedelta(minutes=1), timedelta(days=1)])


async def test_every_answer_that_an_open_job_is_accepted_says_when_to_come_back(
    api: httpx2.AsyncClient, worker: HandWorker
) -> None:
    failed, runs = await submitted(api), await submitted(api)
    first, second = worker.claim()
    worker.fail(first)
    worker.start(second)

    answers = [
        await api.post("/v1/jobs", json=BODY),
        await api.post(f"{failed}/retry"),
        await api.post(f"/v1/dead-letters/{failed.rpartition('/')[2]}/redrive"),
        await api.post(f"{runs}/cancel"),
        await api.delete(runs),
    ]

    assert [202] * 5 == [answer.status_code for answer in answers]
    assert all(1 <= int(answer.headers["retry-after"]) <= 60 for answer in answers)


async def test_what_is_not_named_stays_as_it_is(api: httpx2.AsyncClient) -> None:
    path = await submitted(api, metadata={"a": "b"}, options={"tier": "spot", "deadline": 600})

    record = (await api.patch(path, json={"deadline": 900})).json()

    assert (record["tier"], record["metadata"]) == ("spot", {"a": "b"})
    assert record["times"]["deadline"] is not None


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({}, ""),
        ({"input": {}}, "/input"),
        ({"tier": None}, "/tier"),
        ({"deadline": "2020-01-01T00:00:00Z"}, "/deadline"),
        ({"metadata": {"k": 1}}, "/metadata/k"),
    ],
    ids=["nothing", "unknown", "no tier", "deadline over", "number"],
)
async def test_a_change_that_cannot_be_made_is_refused(
    api: httpx2.AsyncClient, changes: dict[str, Any], pointer: str
) -> None:
    answer = await api.patch(await submitted(api), json=changes)

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_a_job_that_a_worker_has_is_not_changed(api: httpx2.AsyncClient, worker: HandWorker) -> None:
    path = await submitted(api)
    worker.claim()

    answer = await api.patch(path, json={"tier": "spot"})

    assert (answer.status_code, answer.json()["code"]) == (409, "job_not_waiting")


async def test_a_tier_that_is_full_takes_no_more(api_with: Callable[..., Any]) -> None:
    async with api_with(queue_cap=1) as api:
        await submitted(api, options={"tier": "spot"})
        answer = await api.patch(await submitted(api), json={"tier": "spot"})

    assert (answer.status_code, answer.json()["code"]) == (429, "queue_full")


# --- deleted -------------------------------------------------------------------------------------------------


async def test_a_job_that_is_deleted_is_gone(api: httpx2.AsyncClient, worker: HandWorker) -> None:
    path = await submitted(api)
    [job] = worker.claim()
    worker.succeed(job, b'"hello"')

    deleted = await api.delete(path)
    after = [await api.get(path), await api.get(f"{path}/result"), await api.delete(path)]

    assert (deleted.status_code, deleted.content) == (204, b"")
    assert [(410, "job_expired")] * 3 == [(answer.status_code, answer.json()["code"]) for answer in after]
    assert (await api.get("/v1/jobs")).json()["jobs"] == []


async def test_a_running_job_is_canceled_by_being_deleted(api: httpx2.AsyncClient, worker: HandWorker) -> None:
    path = await submitted(api)
    [job] = worker.claim()
    worker.start(job)

    deleted = await api.delete(path)
    worker.succeed(job, b'"hello"')

    assert (deleted.status_code, deleted.json()["status"]) == (202, "canceling")
    assert (await api.get(path)).json()["status"] == "canceled"
    assert (await api.delete(path)).status_code == 204


async def test_an_id_that_was_chosen_is_gone_too_and_not_used_again(api: httpx2.AsyncClient) -> None:
    path = "/v1/jobs/order-4711-of-customer-0815"
    await api.put(path, json=BODY)

    await api.delete(path)

    assert [410, 410] == [(await api.get(path)).status_code, (await api.put(path, json=BODY)).status_code]


async def test_what_never_was_cannot_be_deleted(api: httpx2.AsyncClient) -> None:
    answers = [await api.request(method, "/v1/jobs/none", json={"tier": "spot"}) for method in ("DELETE", "PATCH")]

    assert [(404, "job_not_found")] * 2 == [(answer.status_code, answer.json()["code"]) for answer in answers]


# --- tried again ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["failed", "canceled"])
async def test_a_job_without_a_result_is_tried_again_as_a_new_one(
    api: httpx2.AsyncClient, worker: HandWorker, end: str
) -> None:
    path = await submitted(api, metadata={"a": "b"})
    if end == "failed":
        [job] = worker.claim()
        worker.fail(job)
    else:
        await api.post(f"{path}/cancel")

    first, second = [await api.post(f"{path}/retry") for _ in range(2)]
    third = await api.post(f"{path}/retry?as_new=true")
    jobs = worker.claim()

    assert [202, 200, 202] == [answer.status_code for answer in (first, second, third)]
    assert first.json()["id"] == second.json()["id"] != third.json()["id"]
    assert first.headers["location"] == first.json()["links"]["self"] != path
    assert (first.json()["attempts"], first.json()["metadata"]) == (0, {"a": "b"})
    assert [b'{"text":"world"}'] * 2 == [job.input for job in jobs]
    assert (await api.get(path)).json()["status"] == end


async def test_what_runs_or_has_succeeded_is_not_tried_again(api: httpx2.AsyncClient, worker: HandWorker) -> None:
    path = await submitted(api)
    waiting = await api.post(f"{path}/retry")
    [job] = worker.claim()
    worker.succeed(job, b'"hello"')

    answers = [waiting, await api.post(f"{path}/retry")]

    assert [(409, "not_retryable")] * 2 == [(answer.status_code, answer.json()["code"]) for answer in answers]


async def test_a_result_goes_when_its_time_is_over_and_is_410_from_then_on(
    api: httpx2.AsyncClient, worker: HandWorker
) -> None:
    path = await submitted(api, options={"result_ttl_s": 1})
    [job] = worker.claim()
    worker.succeed(job, b'"hello"')
    kept = await api.get(path)

    for _ in range(200):
        await asyncio.sleep(0.1)
        if (gone := await api.get(path)).status_code != 200:
            break

    assert (kept.json()["result_ttl_s"], gone.status_code, gone.json()["code"]) == (1, 410, "job_expired")
    assert (await api.get(f"{path}/result")).status_code == 410


async def test_what_is_tried_again_keeps_its_limits(api: httpx2.AsyncClient) -> None:
    path = await submitted(api, options={"result_ttl_s": 60, "run_timeout_s": 5})
    await api.post(f"{path}/cancel")

    again = (await api.post(f"{path}/retry")).json()

    assert (again["result_ttl_s"], again["run_timeout_s"]) == (60, 5.0)


async def test_what_is_tried_again_keeps_how_it_is_to_be_run(api: httpx2.AsyncClient) -> None:
    path = await submitted(api, options={"retry_on": ["oom"], "batchable": False}, fairness_key="team-a")
    await api.post(f"{path}/cancel")

    again = (await api.post(f"{path}/retry")).json()

    assert (again["retry_on"], again["batchable"], again["fairness_key"]) == (["oom"], False, "team-a")
