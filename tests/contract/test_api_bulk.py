"""Many jobs in one request: each is judged alone, or all together if that was asked for."""

from collections.abc import Callable
from typing import Any

import httpx2
import orjson
import pytest

from api.intake import Intake
from headrace.errors import RedisUnavailable
from headrace.keys import Keys
from headrace.sync_redis import SyncRedis

GOOD: dict[str, Any] = {"model": "greeter", "input": {"text": "world"}}
WRONG: dict[str, Any] = {"model": "greeter", "input": {"text": 5}}
NDJSON = {"Content-Type": "application/x-ndjson"}


def lines(*bodies: Any) -> bytes:
    return b"\n".join(body if isinstance(body, bytes) else orjson.dumps(body) for body in bodies)


async def test_each_of_many_jobs_is_accepted_or_refused_by_itself(
    api: httpx2.AsyncClient, queued: Callable[[], int]
) -> None:
    bodies = [GOOD, WRONG, {**GOOD, "model": "greter"}, 5, {**GOOD, "options": {"tier": "spot"}}]

    answer = (await api.post("/v1/jobs:bulk", json=bodies)).json()

    assert (answer["accepted"], answer["known"], answer["refused"]) == (2, 0, 3)
    codes = [item["error"] and item["error"]["code"] for item in answer["jobs"]]
    assert codes == [None, "invalid_input", "model_not_found", "invalid_input", None]
    assert answer["jobs"][1]["error"]["errors"][0]["pointer"] == "/input/text"
    assert queued() == 2
    record = (await api.get(f"/v1/jobs/{answer['jobs'][4]['id']}")).json()
    assert record["tier"] == "spot"


async def test_lines_of_json_are_taken_too_and_a_bad_line_costs_no_other(
    api: httpx2.AsyncClient, queued: Callable[[], int]
) -> None:
    content = lines(GOOD, b'{"model":', GOOD) + b"\n\n"

    answer = (await api.post("/v1/jobs:bulk", content=content, headers=NDJSON)).json()

    assert [item["error"] and item["error"]["code"] for item in answer["jobs"]] == [None, "malformed_request", None]
    assert queued() == 2


async def test_more_jobs_than_one_script_takes_keep_their_order(
    api: httpx2.AsyncClient, queued: Callable[[], int]
) -> None:
    bodies = [{**GOOD, "input": {"text": str(number)}} for number in range(250)]

    answer = (await api.post("/v1/jobs:bulk", json=bodies)).json()
    listed = (await api.get("/v1/jobs?limit=500")).json()["jobs"]

    assert (answer["accepted"], queued()) == (250, 250)
    assert [item["id"] for item in answer["jobs"]] == [record["id"] for record in reversed(listed)]
    assert len({item["id"] for item in answer["jobs"]}) == 250


async def test_jobs_of_one_request_are_stored_as_each_alone_would_be(
    api: httpx2.AsyncClient, connection: SyncRedis, keys: Keys
) -> None:
    kinds: list[dict[str, Any]] = [
        {},
        {"options": {"tier": "spot", "max_attempts": 7}},
        {"options": {"run_timeout_s": 5, "result_ttl_s": 60}, "metadata": {"a": "b"}},
        {"options": {"deadline": "2100-01-01T00:00:00Z", "start_by": "2099-01-01T00:00:00Z"}},
        {"options": {"not_before": "2098-01-01T00:00:00Z"}, "metadata": {"c": "d"}},
        {"model": "greeter@1", "input": {"text": "\u00e4", "times": 2}},
    ]
    bodies = [{**GOOD, **kind} for kind in kinds]
    alone = [(await api.post("/v1/jobs", json=body)).json()["id"] for body in bodies]

    answer = (await api.post("/v1/jobs:bulk", json=bodies + bodies)).json()

    together = [item["id"] for item in answer["jobs"]]
    stored = [stored_of(connection, keys, job_id) for job_id in alone]
    assert stored + stored == [stored_of(connection, keys, job_id) for job_id in together]


def stored_of(connection: SyncRedis, keys: Keys, job_id: str) -> Any:
    """All that is kept of a job but when it came."""
    member = f"default/{job_id}"
    record = {**connection.client.hgetall(keys.job(member))}
    del record[b"q"], record[b"z"]
    return record, connection.client.get(keys.input(member)), connection.client.get(keys.metadata(member))


@pytest.mark.parametrize("is_atomic", ["true", "false"])
async def test_the_same_key_gives_the_same_jobs(
    api: httpx2.AsyncClient, queued: Callable[[], int], is_atomic: str
) -> None:
    path, headers = f"/v1/jobs:bulk?atomic={is_atomic}", {"Idempotency-Key": "k"}
    first = (await api.post(path, json=[GOOD, GOOD], headers=headers)).json()

    again = (await api.post(path, json=[GOOD, GOOD, GOOD], headers=headers)).json()

    assert [item["id"] for item in first["jobs"]] == [item["id"] for item in again["jobs"][:2]]
    assert (again["accepted"], again["known"]) == (1, 2)
    assert queued() == 3


async def test_all_or_none_names_those_that_cannot_be_accepted(
    api: httpx2.AsyncClient, queued: Callable[[], int]
) -> None:
    answer = await api.post("/v1/jobs:bulk?atomic=true", json=[GOOD, WRONG, GOOD])

    assert (answer.status_code, answer.json()["code"]) == (422, "bulk_refused")
    assert answer.json()["errors"][0]["pointer"] == "/1/input/text"
    assert queued() == 0


async def test_all_or_none_is_none_where_there_is_no_place_for_all(
    api_with: Callable[..., Any], queued: Callable[[], int]
) -> None:
    async with api_with(queue_cap=2) as api:
        whole = await api.post("/v1/jobs:bulk?atomic=true", json=[GOOD, GOOD, GOOD])
        assert queued() == 0
        each = await api.post("/v1/jobs:bulk", json=[GOOD, GOOD, GOOD])

    assert (whole.status_code, whole.json()["code"]) == (429, "queue_full")
    assert [item["error"] and item["error"]["code"] for item in each.json()["jobs"]] == [None, None, "queue_full"]
    assert queued() == 2


async def test_all_or_none_that_cannot_be_checked_now_can_be_sent_again(
    api: httpx2.AsyncClient, queued: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refusal_of(*_: Any, **__: Any) -> None:
        raise RedisUnavailable("Redis does not answer")

    monkeypatch.setattr(Intake, "refuses_none", False)
    monkeypatch.setattr(Intake, "refusal_of", refusal_of)

    answer = await api.post("/v1/jobs:bulk?atomic=true", json=[GOOD, WRONG])

    assert (answer.status_code, answer.json()["code"]) == (503, "redis_unavailable")
    assert queued() == 0


async def test_an_input_that_is_too_large_alone_is_refused_alone(
    api_with: Callable[..., Any], queued: Callable[[], int]
) -> None:
    async with api_with(max_body_bytes=1000) as api:
        bodies = [GOOD, {**GOOD, "input": {"text": "x" * 2000}}, *[GOOD] * 30]
        answer = (await api.post("/v1/jobs:bulk", json=bodies)).json()

    assert (answer["accepted"], answer["jobs"][1]["error"]["code"]) == (31, "body_too_large")
    assert queued() == 31


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{}", {"Content-Type": "application/json"}, 422),
        (b"[]", {"Content-Type": "application/json"}, 422),
        (b"[1", {"Content-Type": "application/json"}, 400),
        (b"", NDJSON, 422),
        (b"[" + b"1," * 1000 + b"1]", {"Content-Type": "application/json"}, 422),
        (b"[]", {"Content-Type": "text/csv"}, 415),
    ],
    ids=["object", "empty", "not JSON", "no lines", "too many", "text"],
)
async def test_a_body_that_holds_no_jobs_is_refused(
    api: httpx2.AsyncClient, content: bytes, headers: dict[str, str], status: int
) -> None:
    answer = await api.post("/v1/jobs:bulk", content=content, headers=headers)

    assert status == answer.status_code


async def test_what_is_neither_true_nor_false_is_refused(api: httpx2.AsyncClient) -> None:
    answer = await api.post("/v1/jobs:bulk?atomic=1", json=[GOOD])

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/query/atomic")
