"""How often a tenant may ask, and each of its keys: told with every answer, refused before anything is read."""

import re
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from api import rates
from headrace.keys import Keys
from headrace.sync_redis import SyncRedis
from headrace.tenant_store import Rate, TenantStore
from tests.contract.keyring import Keyring, bearer

JOB = {"model": "greeter", "input": {"text": "x"}}


@pytest.fixture
def keyring(connection: SyncRedis, keys: Keys) -> Keyring:
    """Makes keys for the test's cell."""
    return Keyring(connection, keys)


@pytest.fixture
def limited(connection: SyncRedis, keys: Keys) -> None:
    """The tenant acme may make three requests at once, and one a thousand seconds after that."""
    connection.run(TenantStore(keys).set_rate("acme", Rate(per_s=0.001, burst=3)))


async def test_without_a_rate_nothing_is_limited_or_said(api: httpx2.AsyncClient) -> None:
    answer = await api.get("/v1/jobs")

    assert answer.status_code == 200
    assert "ratelimit" not in answer.headers


@pytest.mark.usefixtures("limited")
async def test_every_answer_says_where_the_tenant_stands(api: httpx2.AsyncClient, keyring: Keyring) -> None:
    headers = keyring.headers("acme")

    answers = [await api.get("/v1/jobs", headers=headers), await api.get("/v1/jobs/unknown", headers=headers)]

    assert [200, 404] == [answer.status_code for answer in answers]
    assert ['"tenant";r=2;t=0', '"tenant";r=1;t=0'] == [answer.headers["ratelimit"] for answer in answers]
    assert answers[0].headers["ratelimit-policy"] == '"tenant";q=3;w=3000'


@pytest.mark.usefixtures("limited")
async def test_what_is_too_much_is_refused_with_when_to_come_back_and_nothing_is_stored(
    api: httpx2.AsyncClient, keyring: Keyring, queued: Callable[[], int]
) -> None:
    """S-06: whatever the tier."""
    headers = keyring.headers("acme")
    tiers = ["priority", "standard", "spot", "priority"]

    answers = [await api.post("/v1/jobs", json=JOB | {"options": {"tier": tier}}, headers=headers) for tier in tiers]

    refused = answers[-1]
    assert [202, 202, 202, 429] == [answer.status_code for answer in answers]
    assert (refused.json()["code"], refused.json()["retryable"], queued()) == ("rate_limited", True, 3)
    assert 990 <= int(refused.headers["retry-after"]) <= 1000
    assert refused.headers["ratelimit"].startswith('"tenant";r=0;t=')


@pytest.mark.usefixtures("limited")
async def test_one_tenants_haste_and_two_keys_of_it_are_nobody_elses(api: httpx2.AsyncClient, keyring: Keyring) -> None:
    mine, also_mine, rival = (keyring.headers(tenant) for tenant in ("acme", "acme", "rival"))

    answers = [await api.get("/v1/jobs", headers=headers) for headers in (mine, also_mine, mine, also_mine, rival)]

    assert [200, 200, 200, 429, 200] == [answer.status_code for answer in answers]


@pytest.mark.usefixtures("limited")
async def test_health_is_never_limited(api: httpx2.AsyncClient, keyring: Keyring) -> None:
    answers = [await api.get("/livez", headers=keyring.headers("acme")) for _ in range(5)]

    assert {200} == {answer.status_code for answer in answers}


@pytest.fixture
def bounded(keyring: Keyring, connection: SyncRedis, keys: Keys) -> dict[str, str]:
    """What a request shows with a key of acme's that may be used once, and again in a thousand seconds."""
    key_id, text = keyring.make_as("acme")
    connection.run(TenantStore(keys).set_key_rate(key_id, Rate(per_s=0.001, burst=1)))
    return bearer(text)


@pytest.mark.usefixtures("limited")
async def test_a_key_is_held_to_its_own_rate_and_to_its_tenants(
    api: httpx2.AsyncClient, keyring: Keyring, bounded: dict[str, str], queued: Callable[[], int]
) -> None:
    free = keyring.headers("acme")

    answers = [await api.post("/v1/jobs", json=JOB, headers=key) for key in (bounded, bounded, free, free, free)]

    # What its own rate refused has cost the tenant nothing: three requests of it are served.
    assert [202, 429, 202, 202, 429] == [answer.status_code for answer in answers]
    assert ["the API key", "the tenant acme may"] == [
        answers[number].json()["detail"][:length] for number, length in ((1, 11), (4, 19))
    ]
    assert (answers[1].json()["code"], queued()) == ("rate_limited", 3)


@pytest.mark.usefixtures("limited")
async def test_the_tighter_of_two_rates_is_told(
    api: httpx2.AsyncClient, keyring: Keyring, bounded: dict[str, str], connection: SyncRedis, keys: Keys
) -> None:
    key_id, text = keyring.make_as("acme")
    connection.run(TenantStore(keys).set_key_rate(key_id, Rate(per_s=5, burst=20)))

    narrow, wide = [await api.get("/v1/jobs", headers=headers) for headers in (bounded, bearer(text))]

    assert re.fullmatch(r'"key";r=0;t=(1000|999)', narrow.headers["ratelimit"])
    assert wide.headers["ratelimit"] == '"tenant";r=1;t=0'
    assert wide.headers["ratelimit-policy"] == '"tenant";q=3;w=3000, "key";q=20;w=4'


async def test_a_rate_of_a_key_is_given_changed_and_taken_away(
    api: httpx2.AsyncClient, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "_KNOWN_FOR_S", 0.0)
    admin, rate = keyring.headers("ops", "admin"), {"per_s": 0.001, "burst": 2}
    made = await api.post("/v1/keys", json={"tenant": "acme", "requests": rate}, headers=admin)
    path, mine = made.headers["location"], bearer(made.json()["key"])

    async def asked() -> list[int]:
        return [(await api.get("/v1/jobs", headers=mine)).status_code for _ in range(3)]

    assert (await api.get("/v1/limits", headers=mine)).json()["key_requests"] == rate
    assert [200, 429, 429] == await asked()
    changed = await api.patch(path, json={"requests": {"per_s": 1000, "burst": 9}}, headers=admin)
    assert (changed.status_code, changed.json()["requests"]) == (200, {"per_s": 1000, "burst": 9})
    assert (await api.patch(path, json={}, headers=admin)).json()["requests"] == {"per_s": 1000, "burst": 9}
    assert (await api.patch(path, json={"requests": None}, headers=admin)).json()["requests"] is None
    assert [200] * 3 == await asked()
    listed = {key["id"]: key["requests"] for key in (await api.get("/v1/keys", headers=admin)).json()["keys"]}
    assert listed[made.json()["id"]] is None


async def test_a_change_of_a_key_names_what_is_wrong_and_revives_nothing(
    api: httpx2.AsyncClient, keyring: Keyring
) -> None:
    admin = keyring.headers("ops", "admin")
    path = (await api.post("/v1/keys", json={"tenant": "acme"}, headers=admin)).headers["location"]
    await api.delete(path, headers=admin)

    wrong = await api.patch(path, json={"requests": {"per_s": -1}}, headers=admin)
    unknown = await api.patch("/v1/keys/nobody", json={"requests": None}, headers=admin)
    changed = await api.patch(path, json={"requests": {"per_s": 1}}, headers=admin)

    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/requests/per_s")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "key_not_found")
    assert (changed.status_code, changed.json()["state"]) == (200, "revoked")


async def test_the_settings_rate_is_everybodys_and_an_operators_word_goes_over_it(
    api_with: Callable[..., Any], connection: SyncRedis, keys: Keys, keyring: Keyring
) -> None:
    connection.run(TenantStore(keys).set_rate("free", Rate(per_s=0, burst=1)))
    async with api_with(request_rate=0.001, request_burst=1) as api:
        acme, free = keyring.headers("acme"), keyring.headers("free")
        answers = [await api.get("/v1/jobs", headers=headers) for headers in (acme, acme, free, free)]

    assert [200, 429, 200, 200] == [answer.status_code for answer in answers]


async def test_a_change_is_known_soon(
    api: httpx2.AsyncClient, connection: SyncRedis, keys: Keys, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "_KNOWN_FOR_S", 0.0)
    headers = keyring.headers("acme", "read")
    assert (await api.get("/v1/limits", headers=headers)).json()["requests"] is None

    connection.run(TenantStore(keys).set_rate("acme", Rate(per_s=5, burst=20)))

    assert (await api.get("/v1/limits", headers=headers)).json()["requests"] == {"per_s": 5.0, "burst": 20}


async def test_garbage_where_rates_belong_limits_nobody(
    api: httpx2.AsyncClient, connection: SyncRedis, keys: Keys
) -> None:
    connection.client.set(keys.rates, "garbage")
    connection.client.set(keys.key_rates, "garbage")
    connection.client.hset(keys.weights, "default", "heavy")

    assert (await api.get("/v1/jobs")).status_code == 200
    assert (await api.get("/v1/limits")).json()["weight"] == 1


@pytest.mark.usefixtures("limited")
async def test_the_limits_are_told(
    api: httpx2.AsyncClient, connection: SyncRedis, keys: Keys, keyring: Keyring
) -> None:
    connection.run(TenantStore(keys).set_weight("acme", 2.5))

    answer = await api.get("/v1/limits", headers=keyring.headers("acme", "read"))

    assert answer.json() == {
        "tenant": "acme",
        "weight": 2.5,
        "requests": {"per_s": 0.001, "burst": 3},
        "key_requests": None,
        "open_requests": 2048,
        "open_waits": 1024,
        "waiting_jobs": 100_000,
        "tenant_waiting_jobs": None,
        "running_jobs": None,
        "body_bytes": 65_536,
        "bulk_jobs": 1_000,
        "bulk_bytes": 8_388_608,
        "metadata_pairs": 16,
        "wait_s": 60.0,
        "run_s": 60.0,
        "result_kept_s": 86_400,
        "longest_result_kept_s": 2_592_000,
        "idempotency_key_kept_s": 86_400,
    }
