"""Waiting for an end: woken by the commit, never by looking."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from api.services import Services
from headrace.errors import FieldError
from headrace.settings import Settings
from headrace.sync_redis import SyncRedis
from tests.contract.conftest import HandWorker, calling, started

BODY: dict[str, Any] = {"model": "greeter", "input": {"text": "world"}}


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0.005)


async def submitted(api: httpx2.AsyncClient, **options: Any) -> str:
    record = (await api.post("/v1/jobs", json={**BODY, "options": options})).json()
    return str(record["id"])


async def waiting(api: httpx2.AsyncClient, services: Services, job_id: str) -> asyncio.Task[httpx2.Response]:
    """Begin to wait for a job, and go on once the API watches it and has read it."""
    task = asyncio.create_task(api.get(f"/v1/jobs/{job_id}", headers={"Prefer": "wait=30"}))
    await until(lambda: len(services.waiters) > 0)
    return task


def waited_for(api: httpx2.AsyncClient) -> asyncio.Task[httpx2.Response]:
    """Submit and wait for the end."""
    return asyncio.create_task(api.post("/v1/jobs", json=BODY, headers={"Prefer": "wait=30"}))


async def waited_for_next(
    api: httpx2.AsyncClient, worker: HandWorker, commands: list[str]
) -> asyncio.Task[httpx2.Response]:
    """The same, for a job that is not the first: `commands` are those of this one alone."""
    await submitted(api)
    worker.claim()
    commands.clear()
    return waited_for(api)


async def claimed_by(worker: Any) -> list[Any]:
    """What the worker can claim, as soon as there is something."""
    claimed: list[Any] = []

    def has_claimed() -> bool:
        claimed.extend(worker.claim())
        return bool(claimed)

    await until(has_claimed)
    return claimed


async def test_a_submission_that_waits_is_answered_with_the_result(api: httpx2.AsyncClient, worker: Any) -> None:
    answer = asyncio.create_task(api.post("/v1/jobs", json=BODY, headers={"Prefer": "wait=30"}))
    worker.succeed((await claimed_by(worker))[0], b'{"text":"hello world"}')

    response = await answer

    assert response.status_code == 200
    assert response.json()["result"] == {"text": "hello world"}
    assert response.headers["preference-applied"] == "wait=30"
    assert "retry-after" not in response.headers


async def test_a_wait_sends_no_command_while_it_lasts(
    commands: list[str], api: httpx2.AsyncClient, services: Services, worker: Any
) -> None:
    job_id = await submitted(api)
    commands.clear()

    answer = await waiting(api, services, job_id)
    await asyncio.sleep(0.3)  # long enough for whoever would look again and again to be caught
    during = list(commands)
    worker.succeed(worker.claim()[0])
    await answer

    assert during == ["HGETALL", "GET"]
    assert commands == 2 * ["HGETALL", "GET"]


@pytest.mark.parametrize("is_broken", [False, True])
async def test_a_submission_that_waits_is_told_the_end_and_reads_nothing(
    commands: list[str], api: httpx2.AsyncClient, worker: HandWorker, is_broken: bool
) -> None:
    answer = await waited_for_next(api, worker, commands)
    job = (await claimed_by(worker))[0]
    worker.fail(job) if is_broken else worker.succeed(job, b'{"text":"hell\xc3\xb6"}')
    told = await answer

    assert commands == ["submit"]
    read = await api.get(told.headers["location"], headers={"Prefer": "wait=1"})
    assert told.content == read.content


async def test_the_end_is_told_though_its_record_is_gone_by_then(
    api: httpx2.AsyncClient, services: Services, worker: HandWorker, connection: Any
) -> None:
    answer = waited_for(api)
    job = (await claimed_by(worker))[0]
    pipeline = connection.client.pipeline(transaction=True)
    pipeline.execute_command(*worker.success_of(job))
    pipeline.delete(services.store.keys.job(job.member), services.store.keys.output(job.member))
    pipeline.execute()

    assert (200, 1) == ((await answer).status_code, (await answer).json()["result"])


async def test_a_result_that_is_too_large_to_be_told_is_read(
    commands: list[str], api: httpx2.AsyncClient, worker: HandWorker
) -> None:
    result = b'"' + 40_000 * b"x" + b'"'
    answer = await waited_for_next(api, worker, commands)
    worker.succeed((await claimed_by(worker))[0], result)

    assert 40_000 == len((await answer).json()["result"])
    assert commands == ["submit", "HGETALL", "GET"]


async def test_an_end_that_an_older_worker_does_not_tell_is_read(
    commands: list[str], api: httpx2.AsyncClient, services: Services, worker: HandWorker, connection: SyncRedis
) -> None:
    answer = await waited_for_next(api, worker, commands)
    job = (await claimed_by(worker))[0]
    connection.client.hdel(services.store.keys.job(job.member), "W")  # it knows of no such thing
    worker.succeed(job)

    assert (await answer).json()["result"] == "done"
    assert commands == ["submit", "HGETALL", "GET"]


async def test_what_somebody_else_tells_as_an_end_is_none(
    api: httpx2.AsyncClient, services: Services, worker: HandWorker, connection: SyncRedis
) -> None:
    answer = waited_for(api)
    job = (await claimed_by(worker))[0]
    for nonsense in (b"\xc1", b"\x05", b"\x92\xa1v\xa11"):
        fields: Any = {"jobs": f"{job.member} succeeded", job.member: nonsense}
        connection.client.xadd(services.store.keys.events, fields)
    worker.succeed(job)

    assert (await answer).json()["result"] == "done"


async def test_whoever_else_waits_is_told_the_same_by_every_process(
    settings: Settings, api: httpx2.AsyncClient, worker: HandWorker
) -> None:
    async with started(settings) as other, calling(other) as elsewhere:
        answer = waited_for(api)
        job = (await claimed_by(worker))[0]
        look = await waiting(elsewhere, other.state.services, job.member.partition("/")[2])
        worker.succeed(job)

        told, looked = await answer, await look

    read = await api.get(told.headers["location"], headers={"Prefer": "wait=1"})
    assert told.content == read.content == looked.content
    assert read.headers["etag"] == looked.headers["etag"]


async def test_a_wait_for_a_job_that_ended_is_answered_at_once(api: httpx2.AsyncClient, worker: Any) -> None:
    job_id = await submitted(api)
    worker.succeed(worker.claim()[0])

    response = await api.get(f"/v1/jobs/{job_id}", headers={"Prefer": "wait=30"})

    assert response.json()["result"] == "done"


async def test_a_wait_that_is_over_answers_how_it_stands(api: httpx2.AsyncClient) -> None:
    submission = await api.post("/v1/jobs", json=BODY, headers={"Prefer": "wait=0.05"})
    look = await api.get(submission.headers["location"], headers={"Prefer": "wait=0.05"})

    assert (submission.status_code, look.status_code) == (202, 200)
    assert "queued" == submission.json()["status"] == look.json()["status"]
    assert "retry-after" in submission.headers


def test_every_wait_ends_however_short(live_url: str) -> None:
    with httpx2.Client(base_url=live_url, timeout=30) as client, ThreadPoolExecutor(8) as pool:
        path = f"/v1/jobs/{client.post('/v1/jobs', json=BODY).json()['id']}"
        waits = [f"wait=0.0{thousandths:02}" for thousandths in range(1, 40)] * 5

        answers = list(pool.map(lambda wait: client.get(path, headers={"Prefer": wait}), waits))

    assert {"queued"} == {answer.json()["status"] for answer in answers}


async def test_a_longer_wait_than_allowed_is_cut_and_said_to_be(api_with: Callable[..., Any]) -> None:
    async with api_with(max_wait_s=0.05) as api:
        response = await api.post("/v1/jobs", json=BODY, headers={"Prefer": "respond-soon, wait=100"})

    assert response.headers["preference-applied"] == "wait=0.05"


async def test_all_who_wait_for_one_job_are_woken(api: httpx2.AsyncClient, services: Services, worker: Any) -> None:
    job_id = await submitted(api)
    answers = [await waiting(api, services, job_id) for _ in range(5)]
    worker.succeed(worker.claim()[0])

    assert {"succeeded"} == {(await answer).json()["status"] for answer in answers}
    assert len(services.waiters) == 0


async def test_a_wait_ends_with_a_failure_and_its_cause(
    api: httpx2.AsyncClient, services: Services, worker: Any
) -> None:
    answer = await waiting(api, services, await submitted(api))
    worker.fail(worker.claim()[0], "it broke")

    error = (await answer).json()["error"]

    assert {name: error[name] for name in ("cause", "code", "detail")} == {
        "cause": "model",
        "code": "model_error",
        "detail": "it broke",
    }
    assert (error["retryable"], error["attempts"], error["errors"]) == (False, 1, [])


async def test_a_job_whose_input_the_model_refused_points_to_what_is_wrong(
    api: httpx2.AsyncClient, worker: HandWorker
) -> None:
    job_id = await submitted(api)
    worker.refuse(worker.claim()[0], FieldError("/input/text", "is empty", "schema.too_short"))

    error = (await api.get(f"/v1/jobs/{job_id}")).json()["error"]

    assert (error["cause"], error["code"]) == ("input", "input_error")
    assert error["errors"] == [{"pointer": "/input/text", "code": "schema.too_short", "detail": "is empty"}]


async def test_a_wait_ends_when_the_job_is_canceled(api: httpx2.AsyncClient, services: Services) -> None:
    job_id = await submitted(api)
    answer = await waiting(api, services, job_id)
    await api.post(f"/v1/jobs/{job_id}/cancel")

    assert (await answer).json()["status"] == "canceled"


async def test_ends_that_concern_nobody_are_passed_over_many_at_a_time(
    services: Services, connection: SyncRedis
) -> None:
    async def readings() -> int:
        told = await asyncio.to_thread(connection.client.info, "commandstats")
        return int(told.get("cmdstat_xread", {"calls": 0})["calls"])

    before, began = await readings(), asyncio.get_running_loop().time()
    for _ in range(200):
        connection.client.xadd(services.store.keys.events, {"jobs": "default/other succeeded"})
        await asyncio.sleep(0)
    took_s = asyncio.get_running_loop().time() - began

    assert await readings() - before <= 3 + took_s / 0.02


async def test_whoever_begins_to_wait_while_ends_are_passed_over_hears_of_his_at_once(
    api: httpx2.AsyncClient, services: Services, worker: Any, monkeypatch: pytest.MonkeyPatch, connection: SyncRedis
) -> None:
    monkeypatch.setattr("api.event_feed._QUIET_S", 3600.0)
    passes_over, somebody = asyncio.Event(), services.waiters.somebody

    async def noting(limit_s: float) -> None:
        passes_over.set()
        await somebody(limit_s)

    monkeypatch.setattr(services.waiters, "somebody", noting)
    connection.client.xadd(services.store.keys.events, {"jobs": "default/other succeeded"})
    async with asyncio.timeout(10):
        await passes_over.wait()

    answer = waited_for(api)
    worker.succeed((await claimed_by(worker))[0])

    # A record is read again when a wait is over, which would be later.
    async with asyncio.timeout(15):
        assert (await answer).json()["status"] == "succeeded"


async def test_an_event_that_was_missed_is_made_up_for(
    api: httpx2.AsyncClient, services: Services, worker: Any, monkeypatch: pytest.MonkeyPatch, connection: Any
) -> None:
    answer = waited_for(api)
    job = (await claimed_by(worker))[0]
    with monkeypatch.context() as deaf:
        deaf.setattr(services.feed, "_wake", lambda _: None)
        worker.succeed(job)
        await until(lambda: connection.client.xlen(services.store.keys.events) > 0)
        await asyncio.sleep(0.05)  # the feed has read the event by now, or reads it on its new connection
    assert services.feed._mux._pipe is not None
    services.feed._mux._pipe.abort()

    assert (await answer).json()["status"] == "succeeded"


async def test_events_trimmed_before_they_were_read_are_made_up_for(
    api: httpx2.AsyncClient, services: Services, worker: Any, monkeypatch: pytest.MonkeyPatch, connection: Any
) -> None:
    monkeypatch.setattr("api.event_feed._COUNT", 2)
    answer = await waiting(api, services, await submitted(api))
    events = services.store.keys.events
    pipeline = connection.client.pipeline(transaction=True)
    pipeline.execute_command(*worker.success_of(worker.claim()[0]))
    for _ in range(5):
        pipeline.xadd(events, {"jobs": "default/other succeeded"})
    pipeline.xtrim(events, maxlen=2, approximate=False)
    pipeline.execute()

    assert (await answer).json()["status"] == "succeeded"


async def test_a_stopping_process_lets_go_of_those_who_wait(app: FastAPI, api: httpx2.AsyncClient) -> None:
    services: Services = app.state.services
    answer = await waiting(api, services, await submitted(api))

    services.waiters.close()

    assert ((await answer).status_code, (await answer).json()["status"]) == (200, "queued")


async def test_a_caller_that_hangs_up_leaves_the_job_alone_and_no_trace(
    api: httpx2.AsyncClient, services: Services
) -> None:
    job_id = await submitted(api)
    answer = await waiting(api, services, job_id)

    answer.cancel()
    await asyncio.wait([answer])

    assert len(services.waiters) == 0
    assert (await api.get(f"/v1/jobs/{job_id}")).json()["status"] == "queued"
