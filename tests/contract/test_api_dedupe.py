"""The same job twice: which earlier job is the answer to a submission, in each scope."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from headrace.keys import Keys
from headrace.sync_redis import SyncRedis
from tests.contract.conftest import HandWorker

BODY: dict[str, Any] = {"model": "greeter", "input": {"text": "world"}}
CONTENT = {**BODY, "options": {"dedupe": {"scope": "content"}}}
WINDOW = {**BODY, "options": {"dedupe": {"key": "doc-42", "scope": "window:PT1H"}}}


async def twin(api: httpx2.AsyncClient, body: dict[str, Any], first: httpx2.Response) -> bool:
    """Tell whether a submission is answered with the first one's job."""
    answer = await api.post("/v1/jobs", json=body)
    is_same: bool = answer.json()["id"] == first.json()["id"]
    assert (answer.status_code, answer.headers.get("deduplicated")) == ((200, "true") if is_same else (202, None))
    return is_same


async def test_within_its_window_a_job_stands_for_others_however_it_ended(
    api: httpx2.AsyncClient, worker: HandWorker, connection: SyncRedis, keys: Keys
) -> None:
    first = await api.post("/v1/jobs", json=WINDOW)
    while_open = await twin(api, WINDOW, first)
    worker.fail(worker.claim()[0])
    after_its_end = await twin(api, {**WINDOW, "input": {"text": "other"}}, first)

    [window] = connection.client.scan_iter(f"{keys.prefix}u:*")
    ttl_s = connection.client.ttl(window)
    connection.client.delete(window)

    assert (while_open, after_its_end, await twin(api, WINDOW, first)) == (True, True, False)
    assert 3_500 < ttl_s <= 3_600


async def test_a_result_stands_for_the_same_input_as_long_as_it_is_kept(
    api: httpx2.AsyncClient, worker: HandWorker
) -> None:
    first = await api.post("/v1/jobs", json=CONTENT)
    while_open = await twin(api, CONTENT, first)
    worker.succeed(worker.claim()[0], b'"hello"')

    answered = await api.post("/v1/jobs", json=CONTENT, headers={"Prefer": "wait=5"})
    other = await twin(api, {**CONTENT, "input": {"text": "other"}}, first)
    await api.delete(first.json()["links"]["self"])
    after_deletion = await twin(api, CONTENT, first)

    assert (answered.status_code, answered.headers["deduplicated"], answered.json()["result"]) == (200, "true", "hello")
    assert (while_open, other, after_deletion) == (True, False, False)


async def test_what_came_to_no_result_is_done_anew(api: httpx2.AsyncClient, worker: HandWorker) -> None:
    first = await api.post("/v1/jobs", json=CONTENT)
    worker.fail(worker.claim()[0])

    assert not await twin(api, CONTENT, first)


async def test_a_queue_that_is_full_still_answers_with_the_job_that_there_is(
    api_with: Callable[..., Any], queued: Callable[[], int]
) -> None:
    async with api_with(queue_cap=1) as api:
        first = await api.post("/v1/jobs", json=WINDOW)

        assert await twin(api, WINDOW, first)

    assert queued() == 1


@pytest.mark.parametrize("body", [CONTENT, WINDOW], ids=["content", "window"])
def test_a_hundred_threads_that_hand_in_the_same_make_one_job(
    live_url: str, queued: Callable[[], int], body: dict[str, Any]
) -> None:
    together = threading.Barrier(100)

    def submit(_: int) -> httpx2.Response:
        with httpx2.Client(base_url=live_url, timeout=60) as client:
            together.wait(timeout=60)
            return client.post("/v1/jobs", json=body)

    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(submit, range(100)))

    assert sorted(answer.status_code for answer in answers) == [200] * 99 + [202]
    records = [answer.json() for answer in answers]
    assert [records[0]] * 100 == records
    assert queued() == 1
