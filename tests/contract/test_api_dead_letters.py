"""Jobs that were given up are listed, keep their input, and can be sent again."""

from typing import Any

import httpx2

from headrace.errors import NotADeadLetter
from headrace.job_errors import error_document
from headrace.jobs import Cause, JobStatus
from headrace.store import JobStore
from headrace.store_work import ClaimedJob, Outcome
from headrace.sync_redis import SyncRedis
from tests.contract.conftest import HandWorker

BODY: dict[str, Any] = {"model": "greeter", "input": {"text": "world"}}


async def submitted(api: httpx2.AsyncClient, text: str = "world") -> str:
    answer = await api.post("/v1/jobs", json={"model": "greeter", "input": {"text": text}})
    job_id: str = answer.json()["id"]
    return job_id


def give_up(connection: SyncRedis, store: JobStore, *jobs: ClaimedJob, cause: Cause = Cause.WORKER_LOST) -> None:
    body = error_document(cause, "killed its process twice")
    outcomes = [Outcome(job.lease, JobStatus.FAILED, cause, body) for job in jobs]
    connection.run(store.commit(outcomes, ran_ms=5, result_ttl_s=60))


async def listed(api: httpx2.AsyncClient, query: str = "") -> list[str]:
    answer = await api.get(f"/v1/dead-letters{query}")
    return [letter["id"] for letter in answer.json()["dead_letters"]]


async def test_a_job_that_was_given_up_is_a_dead_letter_and_keeps_its_input(
    api: httpx2.AsyncClient, worker: HandWorker, connection: SyncRedis, store: JobStore
) -> None:
    job_id = await submitted(api)
    give_up(connection, store, *worker.claim())

    [letter] = (await api.get("/v1/dead-letters")).json()["dead_letters"]
    inspected = (await api.get(f"/v1/dead-letters/{job_id}")).json()

    assert (job_id, "worker_lost") == (letter["id"], letter["error"]["cause"])
    assert inspected == {**letter, "input": {"text": "world"}}


async def test_a_failure_that_is_the_inputs_or_the_models_own_is_no_dead_letter(
    api: httpx2.AsyncClient, worker: HandWorker, connection: SyncRedis, store: JobStore
) -> None:
    for cause in (Cause.INPUT, Cause.MODEL):
        await submitted(api)
        give_up(connection, store, *worker.claim(), cause=cause)

    assert [] == await listed(api)


async def test_dead_letters_are_filtered_and_paged_newest_first(
    api: httpx2.AsyncClient, worker: HandWorker, connection: SyncRedis, store: JobStore
) -> None:
    lost = [await submitted(api) for _ in range(5)]
    give_up(connection, store, *worker.claim())
    timed_out = await submitted(api)
    give_up(connection, store, *worker.claim(), cause=Cause.TIMEOUT)

    pages: list[list[str]] = []
    before = None
    while not pages or before is not None:
        query = f"?limit=2{'' if before is None else f'&before={before}'}"
        page = (await api.get(f"/v1/dead-letters{query}")).json()
        pages.append([letter["id"] for letter in page["dead_letters"]])
        before = page["next"]

    assert [[timed_out, lost[4]], [lost[3], lost[2]], [lost[1], lost[0]]] == pages
    assert [timed_out] == await listed(api, "?cause=timeout")
    assert [] == await listed(api, "?model=other")
    assert 6 == len(await listed(api, "?model=greeter@1"))


async def test_a_dead_letter_sent_again_is_a_new_job_with_the_same_input_and_the_old_one_stays_as_it_is(
    api: httpx2.AsyncClient, worker: HandWorker, connection: SyncRedis, store: JobStore
) -> None:
    job_id = await submitted(api)
    give_up(connection, store, *worker.claim())

    answer = await api.post(f"/v1/dead-letters/{job_id}/redrive")
    [again] = worker.claim()
    worker.succeed(again, b'"hello"')

    assert (202, f"/v1/jobs/{answer.json()['id']}") == (answer.status_code, answer.headers["location"])
    assert (f"default/{answer.json()['id']}", b'{"text":"world"}') == (again.member, again.input)
    assert "failed" == (await api.get(f"/v1/jobs/{job_id}")).json()["status"]
    assert [] == await listed(api)


async def test_sending_a_dead_letter_twice_makes_one_job(
    api: httpx2.AsyncClient, worker: HandWorker, connection: SyncRedis, store: JobStore
) -> None:
    job_id = await submitted(api)
    give_up(connection, store, *worker.claim())

    first = await api.post(f"/v1/dead-letters/{job_id}/redrive")
    second = await api.post(f"/v1/dead-letters/{job_id}/redrive")

    assert (202, 200) == (first.status_code, second.status_code)
    assert first.json()["id"] == second.json()["id"]


async def test_many_are_sent_again_by_a_filter_oldest_first(
    api: httpx2.AsyncClient, worker: HandWorker, connection: SyncRedis, store: JobStore
) -> None:
    old = [await submitted(api, text) for text in "abc"]
    give_up(connection, store, *worker.claim())

    answer = await api.post("/v1/dead-letters:redrive", json={"cause": "worker_lost", "limit": 10})

    assert old == [one["id"] for one in answer.json()["redriven"]]
    assert [b'{"text":"a"}', b'{"text":"b"}', b'{"text":"c"}'] == [job.input for job in worker.claim()]


async def test_one_without_its_input_is_forgotten_and_does_not_keep_the_others(
    api: httpx2.AsyncClient, worker: HandWorker, connection: SyncRedis, store: JobStore
) -> None:
    ids = [await submitted(api, text) for text in "abc"]
    give_up(connection, store, *worker.claim())
    connection.client.delete(store.keys.input(f"default/{ids[1]}"))

    answer = await api.post("/v1/dead-letters:redrive", json={})

    assert [ids[0], ids[2]] == [one["id"] for one in answer.json()["redriven"]]
    assert [] == await listed(api)


async def test_a_filter_with_an_unknown_field_is_refused_by_name(api: httpx2.AsyncClient) -> None:
    answer = await api.post("/v1/dead-letters:redrive", json={"modle": "greeter"})

    assert (422, "/modle") == (answer.status_code, answer.json()["errors"][0]["pointer"])
    assert "model, cause, limit" in answer.json()["errors"][0]["detail"]


async def test_a_job_that_did_not_fail_cannot_be_sent_again(api: httpx2.AsyncClient) -> None:
    job_id = await submitted(api)

    answer = await api.post(f"/v1/dead-letters/{job_id}/redrive")

    assert (409, NotADeadLetter.code) == (answer.status_code, answer.json()["code"])
