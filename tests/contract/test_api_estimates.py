"""An estimate says what a submission would meet: the same refusal in the same words, the same reason to wait."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from headrace.keys import Keys
from headrace.sync_redis import SyncRedis
from headrace.tenant_store import TenantStore
from headrace.tiers import Tier
from tests.contract.conftest import HandWorker

pytestmark = pytest.mark.usefixtures("slow_worker")

LATER = {"not_before": 600}


@pytest.fixture
def limit(connection: SyncRedis, keys: Keys) -> Callable[..., None]:
    """Sets caps of the tenant."""

    def limit(**caps: int | None) -> None:
        connection.run_all(TenantStore(keys).set_caps("default", caps))

    return limit


def job(**options: Any) -> dict[str, Any]:
    return {"model": "greeter", "input": {"text": "x"}, "options": options}


async def estimate(api: httpx2.AsyncClient, **options: Any) -> dict[str, Any]:
    answer = await api.post("/v1/estimate", json=job(**options))
    assert answer.status_code == 200
    document: dict[str, Any] = answer.json()
    return document


def told(problem: dict[str, Any]) -> dict[str, Any]:
    """What a problem says, but for the request that it is about and the moment."""
    return {name: problem[name] for name in problem if name not in ("instance", "request_id", "retry_after_ms")}


@pytest.mark.parametrize(
    ("changes", "caps", "options", "code"),
    [
        ({"queue_cap": 2}, {}, {}, "queue_full"),
        ({"queue_cap": 2}, {}, LATER, "queue_full"),
        ({}, {"waiting_jobs": 2}, {}, "tenant_queue_full"),
        ({"wait_limits_s": {Tier.STANDARD: 1.5}}, {}, {}, "wait_too_long"),
        ({"strict_deadlines": True}, {}, {"deadline": 1.5}, "deadline_unattainable"),
    ],
    ids=["queue", "later", "tenant", "wait", "deadline"],
)
async def test_a_refusal_is_foreseen_in_the_words_of_the_submission(
    api_with: Callable[..., Any],
    limit: Callable[..., None],
    queued: Callable[[], int],
    changes: dict[str, Any],
    caps: dict[str, int],
    options: dict[str, Any],
    code: str,
) -> None:
    limit(**caps)
    async with api_with(**changes) as api:
        for _ in range(2):
            before = await estimate(api, **options)
            assert (before["admissible"], before["refusal"]) == (True, None)
            assert (await api.post("/v1/jobs", json=job(**options))).status_code == 202
        waiting = queued()

        foreseen = await estimate(api, **options)
        refused = await api.post("/v1/jobs", json=job(**options))

    assert (foreseen["admissible"], foreseen["refusal"]["code"]) == (False, code)
    assert told(foreseen["refusal"]) == told(refused.json())
    assert waiting == queued()


async def test_asking_often_takes_nobodys_place(api_with: Callable[..., Any]) -> None:
    async with api_with(wait_limits_s={Tier.STANDARD: 1.5}) as api:
        asked = [(await estimate(api))["admissible"] for _ in range(20)]

        assert (await api.post("/v1/jobs", json=job())).status_code == 202
    assert asked == [True] * 20


async def test_where_an_earlier_job_stands_for_it_that_is_named_and_no_cap_is_in_its_way(
    api: httpx2.AsyncClient, limit: Callable[..., None]
) -> None:
    first = (await api.post("/v1/jobs", json=job(dedupe={"key": "doc"}))).json()
    limit(waiting_jobs=1)

    twin, other = await estimate(api, dedupe={"key": "doc"}), await estimate(api, dedupe={"key": "another"})

    assert (twin["admissible"], twin["duplicate_of"]) == (True, first["id"])
    assert (other["admissible"], other["duplicate_of"]) == (False, None)


async def test_what_is_for_later_would_say_so(api: httpx2.AsyncClient) -> None:
    foreseen = await estimate(api, **LATER)
    record = (await api.post("/v1/jobs", json=job(**LATER))).json()

    assert ("scheduled", None) == (foreseen["reason"], foreseen["queue"]["position"])
    assert (record["reason"], record["queue"]) == (foreseen["reason"], foreseen["queue"])


async def test_who_has_as_many_running_as_may_would_be_told_so(
    api: httpx2.AsyncClient, limit: Callable[..., None], worker: HandWorker
) -> None:
    limit(running_jobs=1)
    await api.post("/v1/jobs", json=job())
    worker.claim()

    foreseen = await estimate(api)
    record = (await api.post("/v1/jobs", json=job())).json()

    assert "tenant_limit" == foreseen["reason"] == record["reason"]
    assert foreseen["reason_detail"] == record["reason_detail"]
