"""Many jobs called off at once: only those that are meant, and never more than was said."""

from typing import Any

import httpx2
import pytest

from headrace.jobs import NewJob
from headrace.keys import Keys
from headrace.model_ref import ModelRef
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from headrace.tiers import Tier
from tests.contract.conftest import HandWorker
from tests.contract.keyring import Keyring

BODY: dict[str, Any] = {"model": "greeter", "input": {"text": "world"}}
NOTHING = {"canceled": 0, "canceling": 0, "ended": 0, "next": None}


@pytest.fixture
def keyring(connection: SyncRedis, keys: Keys) -> Keyring:
    """Makes keys for the test's cell."""
    return Keyring(connection, keys)


async def submitted(api: httpx2.AsyncClient, **fields: Any) -> str:
    job_id: str = (await api.post("/v1/jobs", json={**BODY, **fields})).json()["id"]
    return job_id


async def statuses(api: httpx2.AsyncClient) -> dict[str, str]:
    return {record["id"]: record["status"] for record in (await api.get("/v1/jobs")).json()["jobs"]}


async def of_two_tenants(api: httpx2.AsyncClient, keyring: Keyring) -> tuple[list[dict[str, str]], list[str]]:
    """Keys of acme and rival, and a job of each."""
    headers = [keyring.headers("acme"), keyring.headers("rival")]
    answers = [await api.post("/v1/jobs", json=BODY, headers=each) for each in headers]
    return headers, [answer.json()["id"] for answer in answers]


async def test_an_admin_lists_and_cancels_another_tenants_jobs(api: httpx2.AsyncClient, keyring: Keyring) -> None:
    (acme, rival), (own, others) = await of_two_tenants(api, keyring)
    admin = keyring.headers("acme", "admin")

    lists = [await api.get(f"/v1/jobs{whose}", headers=admin) for whose in ("", "?tenant=acme", "?tenant=rival")]
    counted = await api.post("/v1/jobs:cancel?tenant=rival", headers=admin)
    done = await api.post("/v1/jobs:cancel?tenant=rival&confirm=1", headers=admin)

    assert [[own], [own], [others]] == [[record["id"] for record in each.json()["jobs"]] for each in lists]
    assert (counted.json()["matched"], done.json()["canceled"]) == (1, 1)
    after = [await api.get("/v1/jobs", headers=headers) for headers in (acme, rival)]
    assert ["queued", "canceled"] == [each.json()["jobs"][0]["status"] for each in after]


async def test_who_is_no_admin_gets_nothing_of_another_tenant(api: httpx2.AsyncClient, keyring: Keyring) -> None:
    (acme, rival), (own, _) = await of_two_tenants(api, keyring)

    refused = [
        await api.get("/v1/jobs?tenant=rival", headers=acme),
        await api.get("/v1/jobs?tenant=nobody", headers=acme),
        await api.post("/v1/jobs:cancel?tenant=rival&confirm=9", headers=acme),
    ]
    named = await api.get("/v1/jobs?tenant=acme", headers=acme)

    assert [(403, "forbidden")] * 3 == [(answer.status_code, answer.json()["code"]) for answer in refused]
    assert all('scope="admin"' in answer.headers["www-authenticate"] for answer in refused)
    assert [own] == [record["id"] for record in named.json()["jobs"]]
    assert "queued" == (await api.get("/v1/jobs", headers=rival)).json()["jobs"][0]["status"]


async def test_without_keys_any_tenants_jobs_are_listed_and_one_that_is_unknown_has_none(
    api: httpx2.AsyncClient, connection: SyncRedis, store: JobStore
) -> None:
    job = NewJob(id="j1", input=b"{}", tenant="acme", ref=ModelRef("greeter", 1), tier=Tier.STANDARD)
    connection.run(store.submit(job, cap=1))

    lists = [(await api.get(f"/v1/jobs?tenant={tenant}")).json() for tenant in ("acme", "nobody")]
    counted = (await api.post("/v1/jobs:cancel?tenant=nobody&confirm=9")).json()
    wrong = await api.get("/v1/jobs?tenant=No%20Name")

    assert [["j1"], []] == [[record["id"] for record in each["jobs"]] for each in lists]
    assert counted == {**NOTHING, "matched": 0}
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/query/tenant")


async def test_what_a_filter_means_is_canceled_and_nothing_else(api: httpx2.AsyncClient, worker: HandWorker) -> None:
    run = {"metadata": {"run": "7"}}
    done, running = await submitted(api, **run), await submitted(api, **run)
    first, second = worker.claim()
    worker.succeed(first)
    worker.start(second)
    queued, later = await submitted(api, **run), await submitted(api, options={"not_before": 600}, **run)
    other = await submitted(api, metadata={"run": "8"})

    counted = [
        (await api.post(f"/v1/jobs:cancel?metadata.run=7{how}")).json() for how in ("", "&confirm=9&dry_run=true")
    ]
    before = await statuses(api)
    answer = await api.post("/v1/jobs:cancel?metadata.run=7&confirm=3")

    assert counted == [{**NOTHING, "matched": 3}] * 2
    assert (before[queued], before[running]) == ("queued", "running")
    assert answer.json() == {**NOTHING, "matched": 3, "canceled": 2, "canceling": 1}
    after = await statuses(api)
    assert [after[name] for name in (done, running, queued, later, other)] == [
        "succeeded",
        "canceling",
        "canceled",
        "canceled",
        "queued",
    ]


async def test_more_jobs_than_were_confirmed_are_left_alone(api: httpx2.AsyncClient) -> None:
    for _ in range(3):
        await submitted(api)

    refused = await api.post("/v1/jobs:cancel?status=queued&confirm=2")

    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert "3 jobs are meant, and 2 were confirmed" in refused.json()["detail"]
    assert set((await statuses(api)).values()) == {"queued"}
    assert (await api.post("/v1/jobs:cancel?status=queued&confirm=500")).json()["canceled"] == 3


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("status=succeeded&confirm=1", "/query/status"),
        ("confirm=-1", "/query/confirm"),
        ("confirm=many", "/query/confirm"),
        ("dry_run=perhaps", "/query/dry_run"),
        ("state=queued&confirm=1", "/query/state"),
        ("confirm=1&cursor=x", "/query/cursor"),
    ],
)
async def test_what_is_not_understood_cancels_nothing(api: httpx2.AsyncClient, query: str, pointer: str) -> None:
    await submitted(api)

    answer = await api.post(f"/v1/jobs:cancel?{query}")

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert list((await statuses(api)).values()) == ["queued"]


async def test_nobody_cancels_what_is_anothers(api: httpx2.AsyncClient, keyring: Keyring) -> None:
    acme, rival = keyring.headers("acme"), keyring.headers("rival", "admin")
    mine = (await api.post("/v1/jobs", json=BODY, headers=acme)).headers["location"]

    answer = await api.post("/v1/jobs:cancel?confirm=10000", headers=rival)

    assert answer.json() == {**NOTHING, "matched": 0}
    assert (await api.get(mine, headers=acme)).json()["status"] == "queued"


async def test_jobs_beyond_the_first_look_are_found_by_the_cursor(
    api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.calling_off.MOST", 2)
    for _ in range(5):
        await submitted(api)

    answers = [(await api.post("/v1/jobs:cancel?confirm=2")).json()]
    while cursor := answers[-1]["next"]:
        answers.append((await api.post(f"/v1/jobs:cancel?confirm=2&cursor={cursor}")).json())

    assert [2, 2, 1] == [answer["canceled"] for answer in answers]
    assert set((await statuses(api)).values()) == {"canceled"}


@pytest.mark.parametrize("ending", ["succeeded", "canceled"])
async def test_strictly_a_job_that_has_ended_otherwise_cannot_be_canceled(
    api: httpx2.AsyncClient, worker: HandWorker, ending: str
) -> None:
    path = f"/v1/jobs/{await submitted(api)}"
    if ending == "succeeded":
        worker.succeed(worker.claim()[0])
    else:
        await api.post(f"{path}/cancel")

    strict, plain = await api.post(f"{path}/cancel?strict=true"), await api.post(f"{path}/cancel")

    assert (plain.status_code, plain.json()["status"]) == (200, ending)
    if ending == "canceled":
        assert strict.status_code == 200
    else:
        assert (strict.status_code, strict.json()["code"]) == (409, "job_ended")
