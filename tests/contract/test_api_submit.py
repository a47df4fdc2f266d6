"""Submitting: what is accepted, what is replayed, what is refused, and that a refusal leaves nothing behind."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest

from headrace.jobs import NewJob
from headrace.model_ref import ModelRef
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from headrace.tiers import Tier

BODY: dict[str, Any] = {"model": "greeter", "input": {"text": "world"}}


async def test_a_job_is_accepted_with_why_it_waits_and_where_to_look(
    api: httpx2.AsyncClient, queued: Callable[[], int]
) -> None:
    answer = await api.post("/v1/jobs", json=BODY)
    record = answer.json()

    assert answer.status_code == 202
    assert f"/v1/jobs/{record['id']}" == answer.headers["location"] == record["links"]["self"]
    assert answer.headers["retry-after"] == "1"
    assert (record["status"], record["reason"]) == ("queued", "no_compatible_worker")
    assert record["queue"] == {"position": None, "batches_ahead": None, "eta": None}
    assert record["model"] == {"name": "greeter", "version": 1}
    assert queued() == 1


async def test_options_and_input_are_stored_as_they_came(
    api: httpx2.AsyncClient, connection: SyncRedis, store: JobStore
) -> None:
    options = {"tier": "priority", "max_attempts": 7, "start_by": "PT1M", "deadline": 120, "run_timeout_s": 2.5}

    record = (await api.post("/v1/jobs", json={**BODY, "options": options})).json()
    stored = connection.run(store.read(f"default/{record['id']}"))

    assert stored is not None
    assert (stored.tier, stored.max_attempts, stored.run_timeout_s) == (Tier.PRIORITY, 7, 2.5)
    assert record["run_timeout_s"] == 2.5
    assert stored.start_by_ms is not None
    assert stored.deadline_ms is not None
    assert stored.deadline_ms - stored.start_by_ms == 60_000
    assert connection.client.get(store.keys.input(stored.member)) == b'{"text":"world"}'


async def test_a_job_for_later_says_that_it_is_scheduled(api: httpx2.AsyncClient) -> None:
    record = (await api.post("/v1/jobs", json={**BODY, "options": {"not_before": 3600}})).json()
    again = (await api.get(record["links"]["self"])).json()

    assert (record["reason"], record["queue"]["position"]) == ("scheduled", None)
    assert (again["reason"], again["queue"]["position"]) == ("scheduled", None)


async def test_a_version_can_be_named(api: httpx2.AsyncClient) -> None:
    record = (await api.post("/v1/jobs", json={**BODY, "model": "greeter@1"})).json()

    assert record["model"]["version"] == 1


@pytest.mark.parametrize("second", ['"k1"', "k1"], ids=["quoted", "bare"])
async def test_the_same_key_and_body_is_the_same_job(
    api: httpx2.AsyncClient, second: str, queued: Callable[[], int]
) -> None:
    first = await api.post("/v1/jobs", json=BODY, headers={"Idempotency-Key": "k1"})
    respelled = b'{ "input": {"text":"world"}, "model":"greeter" }'
    headers = {"Idempotency-Key": second, "Content-Type": "application/json; charset=utf-8"}
    replay = await api.post("/v1/jobs", content=respelled, headers=headers)

    assert (first.status_code, replay.status_code) == (202, 200)
    assert replay.headers["idempotency-replayed"] == "true"
    assert first.json()["id"] == replay.json()["id"]
    assert queued() == 1


async def test_the_same_key_with_another_body_is_refused(api: httpx2.AsyncClient, queued: Callable[[], int]) -> None:
    headers = {"Idempotency-Key": "k1"}
    await api.post("/v1/jobs", json=BODY, headers=headers)

    other = await api.post("/v1/jobs", json={**BODY, "input": {"text": "moon"}}, headers=headers)

    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    assert other.json()["errors"][0]["pointer"] == "/header/Idempotency-Key"
    assert queued() == 1


async def test_fifty_racing_submissions_with_one_key_make_one_job(
    api: httpx2.AsyncClient, queued: Callable[[], int]
) -> None:
    headers = {"Idempotency-Key": "race"}

    answers = await asyncio.gather(*(api.post("/v1/jobs", json=BODY, headers=headers) for _ in range(50)))

    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sorted(answer.status_code for answer in answers) == [200] * 49 + [202]
    assert queued() == 1


async def test_a_full_queue_answers_429_and_when_to_come_back(
    api_with: Callable[..., Any], queued: Callable[[], int]
) -> None:
    async with api_with(queue_cap=1) as api:
        await api.post("/v1/jobs", json=BODY)
        refused = await api.post("/v1/jobs", json=BODY)
        elsewhere = await api.post("/v1/jobs", json={**BODY, "options": {"tier": "spot"}})

    assert (refused.status_code, refused.json()["code"], refused.json()["retryable"]) == (429, "queue_full", True)
    assert int(refused.headers["retry-after"]) * 1000 == refused.json()["retry_after_ms"]
    assert elsewhere.status_code == 202
    assert queued() == 2


LONG = "x" * 70_000

REFUSALS = [
    pytest.param(b'{"model": "greeter", "input": {"text": "w"}', 400, "malformed_request", "", id="not JSON"),
    pytest.param(b"\xff", 400, "malformed_request", "", id="not UTF-8"),
    pytest.param(b"", 400, "malformed_request", "", id="empty"),
    pytest.param(b"[1]", 422, "invalid_input", "", id="no object"),
    pytest.param(b'{"model":"greeter"}', 422, "invalid_input", "/input", id="no input"),
    pytest.param(b'{"input":{"text":"w"}}', 422, "invalid_input", "/model", id="no model"),
    pytest.param({**BODY, "model": 5}, 422, "invalid_input", "/model", id="model of wrong type"),
    pytest.param({**BODY, "modle": 5}, 422, "invalid_input", "/modle", id="unknown field"),
    pytest.param({**BODY, "options": 5}, 422, "invalid_input", "/options", id="options no object"),
    pytest.param({**BODY, "options": {"teir": 1}}, 422, "invalid_input", "/options/teir", id="unknown option"),
    pytest.param({**BODY, "options": {"a/b": 1}}, 422, "invalid_input", "/options/a~1b", id="unknown, escaped"),
    pytest.param({**BODY, "options": {"tier": "gold"}}, 422, "invalid_input", "/options/tier", id="unknown tier"),
    pytest.param(
        {**BODY, "options": {"max_attempts": "3"}}, 422, "invalid_input", "/options/max_attempts", id="text for number"
    ),
    pytest.param(
        {**BODY, "options": {"max_attempts": 0}}, 422, "invalid_input", "/options/max_attempts", id="no attempts"
    ),
    pytest.param({**BODY, "options": {"deadline": "soon"}}, 422, "invalid_input", "/options/deadline", id="no time"),
    pytest.param(
        {**BODY, "options": {"deadline": "2020-01-01T00:00:00Z"}},
        422,
        "invalid_input",
        "/options/deadline",
        id="deadline over",
    ),
    pytest.param(
        {**BODY, "options": {"start_by": 5, "not_before": 9}},
        422,
        "invalid_input",
        "/options/start_by",
        id="must start before it may",
    ),
    pytest.param({**BODY, "input": {"text": 5}}, 422, "invalid_input", "/input/text", id="input of wrong type"),
    pytest.param({**BODY, "input": {}}, 422, "invalid_input", "/input/text", id="input lacks field"),
    pytest.param(
        {**BODY, "input": {"text": "w", "loud": 1}}, 422, "invalid_input", "/input/loud", id="input has extra field"
    ),
    pytest.param({**BODY, "input": None}, 422, "invalid_input", "/input", id="null input"),
    pytest.param({**BODY, "model": "greter"}, 404, "model_not_found", "/model", id="unknown model"),
    pytest.param({**BODY, "model": "greeter@9"}, 404, "model_not_found", "/model", id="unknown version"),
    pytest.param({**BODY, "model": "greeter@"}, 404, "model_not_found", "/model", id="empty version"),
    pytest.param({**BODY, "input": {"text": LONG}}, 413, "body_too_large", "", id="too large"),
]


@pytest.mark.parametrize(("body", "status", "code", "pointer"), REFUSALS)
async def test_what_cannot_be_run_is_refused_by_name_and_not_queued(
    api: httpx2.AsyncClient, queued: Callable[[], int], body: Any, status: int, code: str, pointer: str
) -> None:
    if isinstance(body, bytes):
        answer = await api.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})
    else:
        answer = await api.post("/v1/jobs", json=body)
    problem = answer.json()

    assert (status, code) == (answer.status_code, problem["code"])
    assert pointer in [error["pointer"] for error in problem["errors"]]
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == problem["request_id"]
    assert queued() == 0


async def test_an_unknown_model_is_answered_with_the_one_that_was_meant(api: httpx2.AsyncClient) -> None:
    answer = await api.post("/v1/jobs", json={**BODY, "model": "greter"})

    assert "greeter" in answer.json()["detail"]


async def test_a_large_body_without_a_length_is_cut_off_while_it_comes(
    api: httpx2.AsyncClient, queued: Callable[[], int]
) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 10_000

    answer = await api.post("/v1/jobs", content=endless(), headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert sent < 8
    assert queued() == 0


@pytest.mark.parametrize(
    "headers",
    [{"Content-Type": "text/plain"}, {}, {"Content-Type": "application/json", "Content-Encoding": "gzip"}],
    ids=["text", "unsaid", "compressed"],
)
async def test_another_content_type_is_refused(api: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    answer = await api.post("/v1/jobs", content=b'{"model":"greeter","input":{"text":"w"}}', headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert answer.json()["errors"][0]["pointer"].startswith("/header/Content-")


@pytest.mark.parametrize("key", ["", '""', "é".encode(), "k" * 256])
async def test_an_unusable_idempotency_key_is_refused(api: httpx2.AsyncClient, key: str | bytes) -> None:
    raw = key if isinstance(key, bytes) else key.encode()
    answer = await api.post("/v1/jobs", json=BODY, headers=[(b"Idempotency-Key", raw)])

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request")


async def test_an_id_is_known_again_by_those_who_made_it(
    api_with: Callable[..., Any], connection: SyncRedis, store: JobStore
) -> None:
    async with api_with() as api:
        record = (await api.post("/v1/jobs", json=BODY)).json()
    member = f"default/{record['id']}"
    connection.client.delete(store.keys.job(member), store.keys.input(member))

    async with api_with() as restarted:
        gone = await restarted.get(record["links"]["self"])
        invented = await restarted.get(re.sub("..$", "00", record["links"]["self"]))

    assert (gone.status_code, gone.json()["code"]) == (410, "job_expired")
    assert (invented.status_code, invented.json()["code"]) == (404, "job_not_found")


async def test_jobs_of_other_processes_are_found_too(
    api: httpx2.AsyncClient, connection: SyncRedis, store: JobStore
) -> None:
    job = NewJob(
        id="c1-elsewhere", tenant="default", ref=ModelRef("greeter", 1), tier=Tier.STANDARD, input=b'{"text":"w"}'
    )
    connection.run(store.submit(job, cap=10))

    assert (await api.get("/v1/jobs/c1-elsewhere")).json()["status"] == "queued"


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        (["timeout", "worker_lost", "timeout"], ["worker_lost", "timeout"]),
        ([], []),
        (["internal", "oom"], ["oom", "internal"]),
        (None, None),
    ],
)
async def test_the_causes_for_which_attempts_may_be_repeated_are_kept(
    api: httpx2.AsyncClient, asked: list[str] | None, kept: list[str] | None
) -> None:
    record = (await api.post("/v1/jobs", json={**BODY, "options": {"retry_on": asked}})).json()
    again = (await api.get(record["links"]["self"])).json()

    assert [kept, kept] == [record["retry_on"], again["retry_on"]]


@pytest.mark.parametrize("cause", ["model", "preempted", 5, ["oom"]])
async def test_a_cause_for_which_nothing_is_repeated_is_refused_with_those_that_there_are(
    api: httpx2.AsyncClient, cause: object
) -> None:
    answer = await api.post("/v1/jobs", json={**BODY, "options": {"retry_on": ["oom", cause]}})

    assert (422, "invalid_input") == (answer.status_code, answer.json()["code"])
    [error] = answer.json()["errors"]
    assert error["pointer"] == "/options/retry_on/1"
    assert error["detail"].startswith(f"'{cause}' is no cause")
    assert error["detail"].endswith("possible are worker_lost, oom, timeout, internal")


@pytest.mark.parametrize("key", ["team-a", None, "~ " * 32])
async def test_whose_a_job_is_is_kept(api: httpx2.AsyncClient, key: str | None) -> None:
    record = (await api.post("/v1/jobs", json={**BODY, "fairness_key": key})).json()
    again = (await api.get(record["links"]["self"])).json()

    assert [key, key] == [record["fairness_key"], again["fairness_key"]]


@pytest.mark.parametrize("key", ["", "x" * 65, "ö", 7, ["a"]])
async def test_what_is_no_fairness_key_is_refused(api: httpx2.AsyncClient, key: object) -> None:
    answer = await api.post("/v1/jobs", json={**BODY, "fairness_key": key})

    assert (422, "/fairness_key") == (answer.status_code, answer.json()["errors"][0]["pointer"])


@pytest.mark.parametrize("asked", [True, False])
async def test_whether_other_jobs_may_be_in_its_pass_is_kept(api: httpx2.AsyncClient, asked: bool) -> None:
    record = (await api.post("/v1/jobs", json={**BODY, "options": {"batchable": asked}})).json()
    again = (await api.get(record["links"]["self"])).json()

    assert [asked, asked] == [record["batchable"], again["batchable"]]
