"""Jobs under ids that submitters chose, one open job of a kind, and what is noted beside a job."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from headrace.ids import check_chosen_id, new_job_id
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from tests.contract.conftest import HandWorker

BODY: dict[str, Any] = {"model": "greeter", "input": {"text": "world"}}
ID = "order-4711-of-customer-0815"


async def test_the_same_body_under_a_chosen_id_is_the_same_job_in_any_state(
    api: httpx2.AsyncClient, worker: HandWorker, queued: Callable[[], int]
) -> None:
    first = await api.put(f"/v1/jobs/{ID}", json=BODY)
    again = await api.put(f"/v1/jobs/{ID}", json=BODY)
    [job] = worker.claim()
    worker.succeed(job, b'"hello"')

    ended = await api.put(f"/v1/jobs/{ID}", json=BODY, headers={"Prefer": "wait=5"})

    assert [first.status_code, again.status_code, ended.status_code] == [202, 200, 200]
    assert first.headers["location"] == f"/v1/jobs/{ID}"
    assert again.headers["idempotency-replayed"] == "true"
    assert (ended.json()["id"], ended.json()["result"]) == (ID, "hello")
    assert queued() == 0


async def test_another_body_under_a_chosen_id_is_refused(api: httpx2.AsyncClient, queued: Callable[[], int]) -> None:
    await api.put(f"/v1/jobs/{ID}", json=BODY)

    other = await api.put(f"/v1/jobs/{ID}", json={**BODY, "input": {"text": "moon"}})

    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert other.json()["errors"][0]["pointer"] == "/path/job_id"
    assert queued() == 1


async def test_a_chosen_id_is_gone_once_its_job_is_no_longer_kept_and_unknown_before_it_was_used(
    api: httpx2.AsyncClient, connection: SyncRedis, store: JobStore
) -> None:
    before = await api.get(f"/v1/jobs/{ID}")
    await api.put(f"/v1/jobs/{ID}", json=BODY)
    connection.client.delete(store.keys.job(f"default/{ID}"), store.keys.input(f"default/{ID}"))

    after = [await api.get(f"/v1/jobs/{ID}"), await api.put(f"/v1/jobs/{ID}", json=BODY)]

    assert (before.status_code, before.json()["code"]) == (404, "job_not_found")
    assert [(410, "job_expired")] * 2 == [(answer.status_code, answer.json()["code"]) for answer in after]


@pytest.mark.parametrize(
    "job_id", ["short", "x" * 65, "a.b" * 10, "c1-" + "0" * 32], ids=["short", "long", "dots", "ours"]
)
async def test_an_id_that_may_not_be_chosen_is_refused(
    api: httpx2.AsyncClient, queued: Callable[[], int], job_id: str
) -> None:
    answer = await api.put(f"/v1/jobs/{job_id}", json=BODY)

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/path/job_id")
    assert queued() == 0


def test_no_id_that_is_given_out_can_be_chosen() -> None:
    for cell in ("c1", "a", "cell0000"):
        with pytest.raises(ValueError, match="given out"):
            check_chosen_id(new_job_id(cell=cell, tenant="default", key=b"k"))


def test_uuids_can_be_chosen() -> None:
    text = str(uuid4())

    assert text == check_chosen_id(text)


def test_a_hundred_threads_with_one_key_make_one_job_and_get_equal_answers(
    live_url: str, queued: Callable[[], int]
) -> None:
    together = threading.Barrier(100)

    def submit(_: int) -> httpx2.Response:
        with httpx2.Client(base_url=live_url, timeout=60) as client:
            together.wait(timeout=60)
            return client.post("/v1/jobs", json=BODY, headers={"Idempotency-Key": "one"})

    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(submit, range(100)))

    assert sorted(answer.status_code for answer in answers) == [200] * 99 + [202]
    records = [answer.json() for answer in answers]
    assert [records[0]] * 100 == records
    assert queued() == 1


async def test_while_a_job_is_open_its_dedupe_key_leads_to_it(api: httpx2.AsyncClient, worker: HandWorker) -> None:
    body = {**BODY, "options": {"dedupe": {"key": "doc-42"}}}
    first = await api.post("/v1/jobs", json=body)
    while_open = await api.post("/v1/jobs", json={**body, "input": {"text": "other"}})
    [job] = worker.claim()
    worker.succeed(job, b'"hello"')

    after = await api.post("/v1/jobs", json=body)

    assert (while_open.status_code, while_open.headers["deduplicated"]) == (200, "true")
    assert while_open.json()["id"] == first.json()["id"]
    assert (after.status_code, after.json()["id"] != first.json()["id"]) == (202, True)


async def test_what_is_noted_beside_a_job_is_shown_with_it(api: httpx2.AsyncClient) -> None:
    metadata = {"customer": "42", "ü": ""}

    record = (await api.post("/v1/jobs", json={**BODY, "metadata": metadata})).json()
    again = (await api.get(record["links"]["self"])).json()

    assert metadata == record["metadata"] == again["metadata"]


@pytest.mark.parametrize(
    "metadata",
    [{str(i): "" for i in range(17)}, {"k" * 65: ""}, {"": ""}, {"k": "v" * 513}, {"k": 5}, ["k"]],
    ids=["17 pairs", "long key", "empty key", "long value", "number", "list"],
)
async def test_more_than_may_be_noted_is_refused(api: httpx2.AsyncClient, metadata: Any) -> None:
    answer = await api.post("/v1/jobs", json={**BODY, "metadata": metadata})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"].startswith("/metadata")
