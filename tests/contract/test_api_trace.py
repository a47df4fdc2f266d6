"""A traceparent goes from the request to the record, the worker, the result."""

from typing import Any

import httpx2
import pytest

from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from tests.contract.conftest import HandWorker

BODY: dict[str, Any] = {"model": "greeter", "input": {"text": "world"}}
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_it_comes_back_with_the_job_and_its_result(api: httpx2.AsyncClient, worker: HandWorker) -> None:
    submitted = await api.post("/v1/jobs", json=BODY, headers={"traceparent": TRACE})
    [job] = worker.claim()
    worker.succeed(job)
    record = await api.get(submitted.json()["links"]["self"])
    result = await api.get(submitted.json()["links"]["result"])

    assert [TRACE] * 3 == [answer.headers["traceparent"] for answer in (submitted, record, result)]
    assert [TRACE] * 2 == [answer.json()["traceparent"] for answer in (submitted, record)]


async def test_the_worker_is_told_of_it_job_by_job(api: httpx2.AsyncClient, worker: HandWorker) -> None:
    for headers in ({}, {"traceparent": TRACE}, {}):
        await api.post("/v1/jobs", json=BODY, headers=headers)

    claimed = worker.claim()

    assert ["", TRACE, ""] == [job.traceparent for job in claimed]


@pytest.mark.parametrize("headers", [{}, {"traceparent": "00-invalid"}], ids=["none", "an invalid one"])
async def test_a_job_without_one_has_nothing_more_in_its_record(
    headers: dict[str, str], api: httpx2.AsyncClient, connection: SyncRedis, store: JobStore
) -> None:
    answer = await api.post("/v1/jobs", json=BODY, headers=headers)
    record = connection.client.hgetall(store.keys.job(f"default/{answer.json()['id']}"))

    assert "traceparent" not in answer.headers
    assert answer.json()["traceparent"] is None
    assert b"p" not in record


async def test_a_replayed_submission_answers_with_the_trace_of_the_first(api: httpx2.AsyncClient) -> None:
    other = TRACE.replace("4bf9", "ffff")
    key = {"idempotency-key": "k"}

    await api.post("/v1/jobs", json=BODY, headers={**key, "traceparent": TRACE})
    replayed = await api.post("/v1/jobs", json=BODY, headers={**key, "traceparent": other})

    assert replayed.headers["idempotency-replayed"] == "true"
    assert TRACE == replayed.headers["traceparent"] == replayed.json()["traceparent"]
