"""Jobs that would wait too long are refused while there is time to go elsewhere."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from headrace.job_errors import error_document
from headrace.jobs import Cause, JobStatus
from headrace.keys import Keys
from headrace.store import JobStore
from headrace.store_work import Outcome
from headrace.sync_redis import SyncRedis
from headrace.tiers import Tier
from tests.contract.conftest import HandWorker

pytestmark = pytest.mark.usefixtures("slow_worker")

BODY = {"model": "greeter", "input": {"text": "world"}}
#: Jobs of five seconds are let in by a limit of four.
LIMITS = {"wait_limits_s": {Tier.STANDARD: 4.0, Tier.SPOT: 4.0}}


async def submit(api: httpx2.AsyncClient, *, tier: Tier = Tier.STANDARD, **options: Any) -> httpx2.Response:
    headers = {"Idempotency-Key": options.pop("key")} if "key" in options else {}
    return await api.post("/v1/jobs", json={**BODY, "options": {"tier": tier, **options}}, headers=headers)


async def test_a_job_that_would_wait_too_long_is_told_when_to_come_back(
    api_with: Callable[..., Any], queued: Callable[[], int]
) -> None:
    async with api_with(**LIMITS) as api:
        answers = [await submit(api) for _ in range(6)]

    # The first waits for nobody, the fifth for four seconds and a little more.
    assert [202] * 4 + [429] * 2 == [answer.status_code for answer in answers]
    problem = answers[-1].json()
    assert ("wait_too_long", True) == (problem["code"], problem["retryable"])
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert "would wait about 4.6 s, and may wait 4 s" in problem["detail"]
    assert 4 == queued()


async def test_the_less_urgent_are_shed_first_and_what_has_no_limit_never(api_with: Callable[..., Any]) -> None:
    async with api_with(**LIMITS) as api:
        for _ in range(3):
            await submit(api, tier=Tier.PRIORITY)
        standard = await submit(api)
        refused = [(await submit(api, tier=Tier.SPOT)).status_code, (await submit(api)).status_code]
        priority = await submit(api, tier=Tier.PRIORITY)

    assert [202, [429, 429], 202] == [standard.status_code, refused, priority.status_code]


async def test_a_job_that_is_there_already_is_never_refused(
    api_with: Callable[..., Any], queued: Callable[[], int]
) -> None:
    async with api_with(**LIMITS) as api:
        first = await submit(api, key="k1")
        while (await submit(api)).status_code == 202:
            pass
        again, other = await submit(api, key="k1"), await submit(api, key="k2")

    assert (200, first.json()["id"]) == (again.status_code, again.json()["id"])
    assert 429 == other.status_code
    assert 4 == queued()


async def test_of_many_jobs_those_that_would_wait_too_long_are_refused(
    api_with: Callable[..., Any], queued: Callable[[], int]
) -> None:
    async with api_with(**LIMITS) as api:
        whole = await api.post("/v1/jobs:bulk?atomic=true", json=[BODY] * 6)
        assert 0 == queued()
    async with api_with(**LIMITS) as api:
        each = await api.post("/v1/jobs:bulk", json=[BODY] * 6)

    assert (429, "wait_too_long") == (whole.status_code, whole.json()["code"])
    codes = [item["error"] and item["error"]["code"] for item in each.json()["jobs"]]
    assert [None] * 4 + ["wait_too_long"] * 2 == codes


async def test_when_the_queue_has_been_worked_off_jobs_are_accepted_again(
    api_with: Callable[..., Any], worker: HandWorker
) -> None:
    async with api_with(**LIMITS) as api:
        while (await submit(api)).status_code == 202:
            pass
        for job in worker.claim():
            worker.succeed(job)

        answers: list[int] = []
        while 202 not in answers:
            answers.append((await submit(api)).status_code)

    assert 202 == answers[-1]


async def filled(api: httpx2.AsyncClient) -> None:
    """As many standard jobs as may wait."""
    while (await submit(api)).status_code == 202:
        pass


async def test_a_job_is_not_moved_to_a_tier_where_it_would_wait_too_long(api_with: Callable[..., Any]) -> None:
    async with api_with(**LIMITS) as api:
        path = (await submit(api, tier=Tier.PRIORITY)).json()["links"]["self"]
        await filled(api)
        moved = await api.patch(path, json={"tier": "standard", "metadata": {"a": "b"}})
        as_before = (await api.get(path)).json()
        noted = await api.patch(path, json={"tier": "priority", "metadata": {"a": "b"}})

    assert (429, "wait_too_long", True) == (moved.status_code, moved.json()["code"], moved.json()["retryable"])
    assert int(moved.headers["retry-after"]) >= 1
    assert ("priority", {}) == (as_before["tier"], as_before["metadata"])
    assert (200, {"a": "b"}) == (noted.status_code, noted.json()["metadata"])


async def test_a_job_is_moved_where_it_need_not_wait_too_long(api_with: Callable[..., Any], worker: HandWorker) -> None:
    async with api_with(**LIMITS) as api:
        path = (await submit(api, tier=Tier.SPOT)).json()["links"]["self"]
        later = (await submit(api, tier=Tier.SPOT, not_before=86_400)).json()["links"]["self"]
        await filled(api)
        urgent = await api.patch(path, json={"tier": "priority"})
        scheduled = await api.patch(later, json={"tier": "standard"})
        worker.claim(tier=Tier.PRIORITY)
        held = await api.patch(path, json={"tier": "standard"})

    assert [200, 200] == [urgent.status_code, scheduled.status_code]
    assert (409, "job_not_waiting") == (held.status_code, held.json()["code"])


async def test_a_retry_that_would_wait_too_long_is_refused_and_one_that_was_made_is_found(
    api_with: Callable[..., Any], queued: Callable[[], int]
) -> None:
    async with api_with(**LIMITS) as api:
        made, refused = [(await submit(api)).json()["links"]["self"] for _ in "12"]
        for path in (made, refused):
            await api.post(f"{path}/cancel")
        first = await api.post(f"{made}/retry")
        await filled(api)
        waiting = queued()
        again = await api.post(f"{made}/retry")
        other, as_new = await api.post(f"{refused}/retry"), await api.post(f"{made}/retry?as_new=true")

    assert (202, 200, first.json()["id"]) == (first.status_code, again.status_code, again.json()["id"])
    assert [(429, "wait_too_long")] * 2 == [(one.status_code, one.json()["code"]) for one in (other, as_new)]
    assert waiting == queued()


async def test_a_dead_letter_that_would_wait_too_long_stays_one(
    api_with: Callable[..., Any], worker: HandWorker, connection: SyncRedis, store: JobStore
) -> None:
    async with api_with(**LIMITS) as api:
        await submit(api)
        [job] = worker.claim()
        document = error_document(Cause.WORKER_LOST, "twice")
        lost = Outcome(job.lease, JobStatus.FAILED, Cause.WORKER_LOST, document)
        connection.run(store.commit([lost], ran_ms=5, result_ttl_s=60))
        [letter] = (await api.get("/v1/dead-letters")).json()["dead_letters"]
        await filled(api)
        one = await api.post(f"/v1/dead-letters/{letter['id']}/redrive")
        many = await api.post("/v1/dead-letters:redrive", json={})
        kept = (await api.get("/v1/dead-letters")).json()["dead_letters"]

    assert [(429, "wait_too_long")] * 2 == [(answer.status_code, answer.json()["code"]) for answer in (one, many)]
    assert [letter["id"]] == [row["id"] for row in kept]


async def test_where_deadlines_are_strict_one_that_cannot_be_met_is_refused(api_with: Callable[..., Any]) -> None:
    async with api_with(strict_deadlines=True) as api:
        for _ in range(3):
            await submit(api, deadline=3600)
        late, patient = await submit(api, deadline=3), await submit(api, deadline=5)

    assert (409, "deadline_unattainable") == (late.status_code, late.json()["code"])
    assert 202 == patient.status_code


async def test_without_limits_and_for_later_nothing_is_refused(api_with: Callable[..., Any]) -> None:
    async with api_with() as api:
        unlimited = [(await submit(api, deadline=1)).status_code for _ in range(10)]
    async with api_with(**LIMITS) as api:
        tomorrow = await submit(api, not_before=86_400)

    assert [202] * 10 == unlimited
    assert 202 == tomorrow.status_code


async def test_garbage_in_place_of_the_schedulers_report_keeps_nobody_out(
    api_with: Callable[..., Any], connection: SyncRedis, keys: Keys
) -> None:
    connection.client.set(keys.scaling, b"\xff garbage")

    async with api_with(**LIMITS) as api:
        answers = [(await submit(api)).status_code for _ in range(6)]

    assert [202] * 4 + [429] * 2 == answers


async def test_where_no_worker_serves_a_job_waits_for_one(
    api_with: Callable[..., Any], connection: SyncRedis, keys: Keys
) -> None:
    connection.client.delete(keys.worker("w1"), keys.workers)

    async with api_with(**LIMITS) as api:
        answers = [(await submit(api)).status_code for _ in range(10)]

    assert [202] * 10 == answers
