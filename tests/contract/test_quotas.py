"""S-06: each quota is a wall: what is too much is refused with the way out, stores nothing, and is nobody else's.

Requests a second are in `test_rates`, the places of several tenants in `test_tenants`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import orjson
import pytest

from api.services import Services
from headrace.errors import TooManyOpenRequests, TooManyOpenWaits
from headrace.keys import Keys
from headrace.settings import Settings
from headrace.sync_redis import SyncRedis
from headrace.tiers import Tier
from tests.contract.conftest import HandWorker, calling, started
from tests.contract.keyring import Keyring

JOB: dict[str, Any] = {"model": "greeter", "input": {"text": "x"}}
WAITING = {"Prefer": "wait=60"}


@pytest.fixture
def keyring(connection: SyncRedis, keys: Keys) -> Keyring:
    """Makes keys for the test's cell."""
    return Keyring(connection, keys)


@asynccontextmanager
async def bounded(settings: Settings, **bounds: float) -> AsyncIterator[tuple[httpx2.AsyncClient, Services]]:
    """An application with these quotas, and its parts."""
    async with started(settings.model_copy(update=bounds)) as app, calling(app) as api:
        yield api, app.state.services


async def until_stored(queued: Callable[[], int], jobs: int) -> None:
    """Return once so many jobs wait; who waits for one of them does so from before it is stored."""
    async with asyncio.timeout(30):
        while queued() < jobs:  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0.005)


def code_of(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


# --- what waits and is open ------------------------------------------------------------------------------------------


async def test_a_wait_too_many_is_refused_before_anything_is_stored_and_is_its_tenants_alone(
    settings: Settings, keyring: Keyring, worker: HandWorker, queued: Callable[[], int]
) -> None:
    acme, rival = keyring.headers("acme"), keyring.headers("rival")
    async with bounded(settings, max_open_waits=2) as (api, _):

        def wait(headers: dict[str, str]) -> Awaitable[httpx2.Response]:
            return asyncio.ensure_future(api.post("/v1/jobs", json=JOB, headers={**WAITING, **headers}))

        open_waits = [wait(acme), wait(acme)]
        await until_stored(queued, 2)
        refused = await wait(acme)
        waiting = queued()
        without = await api.post("/v1/jobs", json=JOB, headers=acme)
        others = wait(rival)
        await until_stored(queued, 4)
        for job in worker.claim():
            worker.succeed(job)
        answers = [await answer for answer in (*open_waits, others)]
        polled = await api.get(f"/v1/jobs/{without.json()['id']}", headers={**WAITING, **acme})

    assert (429, "too_many_open_waits") == code_of(refused)
    assert "/header/Prefer" == refused.json()["errors"][0]["pointer"]
    assert int(refused.headers["retry-after"]) >= 1
    assert (202, 2) == (without.status_code, waiting)
    assert [200, 200, 200, 200] == [answer.status_code for answer in (*answers, polled)]


async def test_a_request_too_many_is_refused_and_is_its_tenants_alone(
    settings: Settings, keyring: Keyring, worker: HandWorker, queued: Callable[[], int]
) -> None:
    acme, rival = keyring.headers("acme"), keyring.headers("rival")
    async with bounded(settings, max_open_requests=2) as (api, _):
        open_requests = [
            asyncio.ensure_future(api.post("/v1/jobs", json=JOB, headers={**WAITING, **acme})) for _ in "12"
        ]
        await until_stored(queued, 2)
        refused = await api.get("/v1/jobs", headers=acme)
        others = [await api.get("/v1/jobs", headers=rival), await api.get("/livez", headers=acme)]
        for job in worker.claim():
            worker.succeed(job)
        answers = [await answer for answer in open_requests]
        afterwards = await api.get("/v1/jobs", headers=acme)

    assert (429, "too_many_open_requests") == code_of(refused)
    assert refused.json()["retryable"]
    assert [200] * 5 == [answer.status_code for answer in (*others, *answers, afterwards)]


async def test_a_key_more_makes_no_more_room(
    settings: Settings, keyring: Keyring, worker: HandWorker, queued: Callable[[], int]
) -> None:
    async with bounded(settings, max_open_waits=1) as (api, _):
        wait = asyncio.ensure_future(api.post("/v1/jobs", json=JOB, headers={**WAITING, **keyring.headers("acme")}))
        await until_stored(queued, 1)
        refused = await api.post("/v1/jobs", json=JOB, headers={**WAITING, **keyring.headers("acme")})
        for job in worker.claim():
            worker.succeed(job)
        await wait

    assert (429, "too_many_open_waits") == code_of(refused)


async def test_nothing_stays_counted_of_what_has_ended_however_it_ended(settings: Settings) -> None:
    async with bounded(settings, max_open_requests=1, max_open_waits=1, max_wait_s=0.01) as (api, services):
        for path in ("/v1/jobs", "/v1/jobs/unknown", "/nowhere", "/v1/jobs?limit=x"):
            await api.get(path, headers=WAITING)
        await api.post("/v1/jobs", content=b"{", headers=WAITING)
        await api.post("/v1/jobs", json=JOB, headers=WAITING)

        services.openings.enter("default")
        services.openings.begin_wait("default")
        with pytest.raises(TooManyOpenRequests):
            services.openings.enter("default")
        with pytest.raises(TooManyOpenWaits):
            services.openings.begin_wait("default")


# --- what waits for workers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tier", Tier)
async def test_each_tier_has_its_places_and_an_urgent_one_no_more(
    api_with: Callable[..., Any], queued: Callable[[], int], tier: Tier
) -> None:
    async with api_with(queue_cap=2) as api:
        answers = [await api.post("/v1/jobs", json={**JOB, "options": {"tier": tier}}) for _ in range(3)]

    assert [202, 202, 429] == [answer.status_code for answer in answers]
    assert ("queue_full", True, 2) == (answers[-1].json()["code"], answers[-1].json()["retryable"], queued())


async def test_cancelling_and_trying_again_in_a_loop_gets_no_more_places(
    api_with: Callable[..., Any], queued: Callable[[], int]
) -> None:
    async with api_with(queue_cap=3) as api:
        jobs = [(await api.post("/v1/jobs", json=JOB)).json()["id"]]
        answers = []
        for _ in range(10):
            await api.post(f"/v1/jobs/{jobs[0]}/cancel")
            answers.append(await api.post(f"/v1/jobs/{jobs[0]}/retry?as_new=true"))

    assert [202] * 3 + [429] * 7 == [answer.status_code for answer in answers]
    assert 3 == queued()


async def test_a_change_of_tier_takes_a_place_there(api_with: Callable[..., Any]) -> None:
    async with api_with(queue_cap=1) as api:
        urgent = await api.post("/v1/jobs", json={**JOB, "options": {"tier": "priority"}})
        patient = await api.post("/v1/jobs", json=JOB)
        refused = await api.patch(patient.json()["links"]["self"], json={"tier": "priority"})
        as_before = await api.get(patient.json()["links"]["self"])

    assert (202, 429, "standard") == (urgent.status_code, refused.status_code, as_before.json()["tier"])


# --- what comes at once ----------------------------------------------------------------------------------------------


async def test_many_at_once_get_the_places_that_there_are(
    api_with: Callable[..., Any], queued: Callable[[], int]
) -> None:
    async with api_with(queue_cap=3) as api:
        answer = (await api.post("/v1/jobs:bulk", json=[JOB] * 5)).json()

    codes = [item["error"] and item["error"]["code"] for item in answer["jobs"]]
    assert [None, None, None, "queue_full", "queue_full"] == codes
    assert 3 == queued()


@pytest.mark.parametrize(
    ("bounds", "path", "body", "expected"),
    [
        ({"max_body_bytes": 100}, "/v1/jobs", {**JOB, "metadata": {"a": "x" * 100}}, (413, "body_too_large")),
        ({"max_bulk_jobs": 2}, "/v1/jobs:bulk", [JOB] * 3, (422, "invalid_input")),
        ({"max_bulk_bytes": 100}, "/v1/jobs:bulk", [JOB] * 3, (413, "body_too_large")),
    ],
    ids=["body", "jobs of a bulk", "bytes of a bulk"],
)
async def test_a_body_that_is_too_large_says_how_large_it_may_be(
    api_with: Callable[..., Any],
    queued: Callable[[], int],
    bounds: dict[str, int],
    path: str,
    body: Any,
    expected: tuple[int, str],
) -> None:
    async with api_with(**bounds) as api:
        answer = await api.post(path, content=orjson.dumps(body), headers={"Content-Type": "application/json"})

    [limit] = bounds.values()
    assert expected == code_of(answer)
    assert str(limit) in answer.json()["detail"]
    assert 0 == queued()
