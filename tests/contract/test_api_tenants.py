"""What bounds tenants: set by operators over HTTP, met by callers."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from headrace.keys import Keys
from headrace.sync_redis import SyncRedis
from headrace.tenant_store import TenantStore
from tests.contract.conftest import HandWorker
from tests.contract.keyring import Keyring

JOB: dict[str, Any] = {"model": "greeter", "input": {"text": "x"}}
NOTHING = {"weight": None, "requests": None, "waiting_jobs": None, "running_jobs": None}


@pytest.fixture
def limit(connection: SyncRedis, keys: Keys) -> Callable[..., None]:
    """Sets caps of a tenant."""

    def limit(tenant: str = "default", **caps: int | None) -> None:
        connection.run_all(TenantStore(keys).set_caps(tenant, caps))

    return limit


@pytest.fixture
def keyring(connection: SyncRedis, keys: Keys) -> Keyring:
    """Makes keys for the test's cell."""
    return Keyring(connection, keys)


async def change(api: httpx2.AsyncClient, tenant: str, **body: Any) -> httpx2.Response:
    return await api.patch(f"/v1/tenants/{tenant}/limits", json=body)


async def test_limits_are_set_one_by_one_seen_and_taken_away(api: httpx2.AsyncClient) -> None:
    assert (await api.get("/v1/tenants/acme/limits")).json() == {"tenant": "acme", **NOTHING}
    rate = {"per_s": 5.0, "burst": 9}
    await change(api, "acme", weight=2, requests=rate, waiting_jobs=7)

    changed = (await change(api, "acme", running_jobs=3, waiting_jobs=None)).json()

    expected = {"tenant": "acme", "weight": 2.0, "requests": rate, "waiting_jobs": None, "running_jobs": 3}
    assert changed == expected == (await api.get("/v1/tenants/acme/limits")).json()
    freed = await change(api, "acme", weight=None, requests=None, running_jobs=None)
    assert freed.json() == {"tenant": "acme", **NOTHING}


async def test_all_tenants_are_listed_with_what_was_set(api: httpx2.AsyncClient) -> None:
    await api.post("/v1/jobs", json=JOB)
    await change(api, "*", waiting_jobs=5)
    await change(api, "acme", weight=3)

    listed = (await api.get("/v1/tenants")).json()["tenants"]

    assert listed == [
        {"tenant": "*", **NOTHING, "waiting_jobs": 5},
        {"tenant": "acme", **NOTHING, "weight": 3.0},
        {"tenant": "default", **NOTHING},
    ]


@pytest.mark.parametrize(
    ("tenant", "body", "pointer"),
    [
        ("acme", {"waiting_jobs": -1}, "/waiting_jobs"),
        ("acme", {"running_jobs": 1.5}, "/running_jobs"),
        ("acme", {"running_jobs": 10_001}, "/running_jobs"),
        ("acme", {"weight": 0}, "/weight"),
        ("acme", {"jobs": 1}, "/jobs"),
        ("*", {"weight": 2}, "/weight"),
        ("A", {"weight": 2}, "/path/tenant"),
    ],
)
async def test_what_cannot_be_set_is_told_so(
    api: httpx2.AsyncClient, tenant: str, body: dict[str, Any], pointer: str
) -> None:
    answer = await change(api, tenant, **body)

    assert (answer.status_code, [field["pointer"] for field in answer.json()["errors"]]) == (422, [pointer])


async def test_only_admins_see_and_set_what_bounds_tenants(api: httpx2.AsyncClient, keyring: Keyring) -> None:
    headers = keyring.headers("acme", "read", "submit", "observe", "models:write")

    answers = [
        await api.get("/v1/tenants", headers=headers),
        await api.get("/v1/tenants/acme/limits", headers=headers),
        await api.patch("/v1/tenants/acme/limits", json={"weight": 9}, headers=headers),
    ]

    assert [answer.status_code for answer in answers] == [403] * 3


async def test_one_job_too_many_is_refused_until_another_has_begun(
    api: httpx2.AsyncClient, limit: Callable[..., None], worker: HandWorker
) -> None:
    limit(waiting_jobs=1)
    await api.post("/v1/jobs", json=JOB)

    refused = await api.post("/v1/jobs", json={**JOB, "options": {"tier": "spot"}})

    assert (refused.status_code, refused.json()["code"]) == (429, "tenant_queue_full")
    assert (refused.json()["retryable"], refused.headers["retry-after"]) == (True, "5")
    worker.claim()
    assert (await api.post("/v1/jobs", json=JOB)).status_code == 202


async def test_no_number_of_callers_at_once_gets_past_a_cap(
    api: httpx2.AsyncClient, limit: Callable[..., None], queued: Callable[[], int]
) -> None:
    limit(waiting_jobs=10)
    tiers = ["priority", "standard", "spot"]

    answers = await asyncio.gather(
        *(api.post("/v1/jobs", json={**JOB, "options": {"tier": tiers[n % 3]}}) for n in range(60))
    )

    assert Counter(answer.status_code for answer in answers) == {202: 10, 429: 50}
    assert queued() == 10


async def test_of_many_at_once_as_many_are_taken_as_may_be_or_none(
    api: httpx2.AsyncClient, limit: Callable[..., None]
) -> None:
    limit(waiting_jobs=2)

    whole = await api.post("/v1/jobs:bulk?atomic=true", json=[JOB] * 3)
    some = (await api.post("/v1/jobs:bulk", json=[JOB] * 3)).json()

    assert (whole.status_code, whole.json()["code"]) == (429, "tenant_queue_full")
    assert (some["accepted"], some["refused"]) == (2, 1)
    assert [job["error"]["code"] for job in some["jobs"] if job.get("error")] == ["tenant_queue_full"]


async def test_callers_see_what_bounds_them(api: httpx2.AsyncClient, limit: Callable[..., None]) -> None:
    limit(waiting_jobs=9)
    limit("*", waiting_jobs=5, running_jobs=4)

    limits = (await api.get("/v1/limits")).json()

    assert (limits["tenant_waiting_jobs"], limits["running_jobs"]) == (9, 4)
