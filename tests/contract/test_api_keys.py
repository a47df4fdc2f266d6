"""Keys over HTTP: who is let in, for what, and how soon no more."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from api.key_ring import KNOWN_FOR_S, KeyRing
from api.scopes import scope_needed
from api.services import Services
from headrace.api_keys import Scope
from headrace.errors import Unauthenticated
from headrace.keys import Keys
from headrace.sync_redis import SyncRedis
from tests.contract.conftest import calling, started
from tests.contract.keyring import NOW_MS, Keyring, bearer, routes_of

JOB = {"model": "greeter", "input": {"text": "x"}}
OPEN = ["/livez", "/readyz", "/openapi.json", "/v1/metrics/targets", "/problems/unauthenticated"]


@pytest.fixture
def keyring(connection: SyncRedis, keys: Keys) -> Keyring:
    """Makes keys for the test's cell."""
    return Keyring(connection, keys)


# --- who is let in ---------------------------------------------------------------------------------------------------


async def test_without_any_key_whoever_comes_is_the_operator(api: httpx2.AsyncClient) -> None:
    assert (await api.get("/v1/jobs")).status_code == 200
    assert (await api.get("/v1/keys")).json() == {"keys": []}


async def test_from_the_first_key_on_every_request_must_show_one(api: httpx2.AsyncClient, keyring: Keyring) -> None:
    headers = keyring.headers("acme")

    answer = await api.get("/v1/jobs")

    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == 'Bearer realm="headrace"'
    assert (await api.get("/v1/jobs", headers=headers)).status_code == 200


async def test_an_api_that_had_no_keys_demands_the_first_one_by_itself(
    api: httpx2.AsyncClient, keyring: Keyring
) -> None:
    assert (await api.get("/v1/jobs")).status_code == 200

    keyring.make("acme")

    await until_refused(lambda: api.get("/v1/jobs"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sk_",
        "sk_000000000000_" + "0" * 64,
        "secret",
        "sk_000000000000_" + "z" * 64,
        "\u00ff",
    ],
)
async def test_what_is_no_key_opens_nothing(api: httpx2.AsyncClient, keyring: Keyring, text: str) -> None:
    keyring.make("acme")

    answer = await api.get("/v1/jobs", headers={b"Authorization": f"Bearer {text}".encode("latin-1")})

    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


async def test_a_wrong_secret_is_told_as_a_key_that_does_not_exist(api: httpx2.AsyncClient, keyring: Keyring) -> None:
    key_id, _ = keyring.make_as("acme")

    wrong = await api.get("/v1/jobs", headers=bearer(f"sk_{key_id}_{'0' * 64}"))
    unknown = await api.get("/v1/jobs", headers=bearer(f"sk_{'0' * 12}_{'0' * 64}"))

    assert (wrong.status_code, wrong.json()["detail"]) == (401, unknown.json()["detail"])


async def test_a_key_of_another_installation_opens_nothing(api: httpx2.AsyncClient, connection: SyncRedis) -> None:
    elsewhere = Keyring(connection, Keys(cell="elsewhere")).headers("acme")

    assert (await api.get("/v1/jobs", headers=elsewhere)).status_code == 401


async def test_an_expired_key_opens_nothing(api: httpx2.AsyncClient, keyring: Keyring) -> None:
    key_id, text = keyring.make_as("acme", change=lambda key: key.model_copy(update={"expires_ms": NOW_MS + 1}))

    answer = await api.get("/v1/jobs", headers=bearer(text))

    assert (answer.status_code, answer.json()["detail"]) == (401, f"the API key {key_id} is expired; ask for a new one")


async def test_the_password_of_a_proxy_is_no_key_and_none_of_our_business(api: httpx2.AsyncClient) -> None:
    answer = await api.get("/v1/jobs", headers={"Authorization": "Basic b3BlcmF0b3I6eA=="})

    assert answer.status_code == 200


async def test_a_key_that_cannot_be_read_opens_nothing_and_stops_nobody(
    api: httpx2.AsyncClient, keyring: Keyring, connection: SyncRedis, keys: Keys
) -> None:
    key_id, text = keyring.make_as("acme", "admin")
    connection.client.hset(keys.api_keys, key_id, "garbage")

    assert (await api.get("/v1/jobs", headers=bearer(text))).status_code == 401
    assert (await api.get("/v1/keys", headers=keyring.headers("acme", "admin"))).status_code == 200


async def test_keys_that_this_version_cannot_read_are_demanded_all_the_same(
    api: httpx2.AsyncClient, connection: SyncRedis, keys: Keys
) -> None:
    connection.client.hset(keys.api_keys, "a", '{"of": "a later version"}')

    assert (await api.get("/v1/jobs")).status_code == 401


async def test_nobody_passes_while_something_else_lies_where_keys_belong(
    api: httpx2.AsyncClient, connection: SyncRedis, keys: Keys
) -> None:
    connection.client.set(keys.api_keys, "garbage")
    refused = [
        (await api.get("/v1/jobs", headers=headers)).status_code
        for headers in ({}, bearer(f"sk_{'0' * 12}_{'0' * 64}"))
    ]
    connection.client.delete(keys.api_keys)

    assert [401, 401] == refused
    assert (await api.get("/v1/jobs")).status_code == 200


@pytest.mark.parametrize("path", OPEN)
async def test_some_routes_need_no_key(api: httpx2.AsyncClient, keyring: Keyring, path: str) -> None:
    keyring.make("acme")

    assert (await api.get(path)).status_code == 200


# --- for what --------------------------------------------------------------------------------------------------------


async def test_every_route_refuses_a_key_that_allows_everything_but_it(
    app: FastAPI, api: httpx2.AsyncClient, keyring: Keyring
) -> None:
    """S-05: also those that come later, since the application's own routes are walked."""
    guarded = [(method, path, scope) for method, path in routes_of(app) if (scope := scope_needed(method, path))]
    others = {needed: keyring.headers("acme", *(set(Scope) - {needed, Scope.ADMIN})) for needed in Scope}

    for method, path, needed in guarded:
        answer = await api.request(method, path.replace("{", "").replace("}", ""), headers=others[needed])
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), f"{method} {path}"
        assert f'error="insufficient_scope", scope="{needed}"' in answer.headers["www-authenticate"]

    assert {Scope.READ, Scope.SUBMIT, Scope.OBSERVE, Scope.ADMIN} <= {needed for _, _, needed in guarded}


async def test_every_route_of_the_api_refuses_whoever_shows_no_key(
    app: FastAPI, api: httpx2.AsyncClient, keyring: Keyring
) -> None:
    keyring.make("acme")
    walked = [(method, path) for method, path in routes_of(app) if path.startswith("/v1/")]

    answers = {path: await api.request(method, path) for method, path in walked}

    assert {path for path, answer in answers.items() if answer.status_code != 401} == {"/v1/metrics/targets"}


# --- making and revoking ---------------------------------------------------------------------------------------------


async def test_a_key_is_made_shown_once_used_and_revoked(api: httpx2.AsyncClient, keyring: Keyring) -> None:
    admin = keyring.headers("ops", "admin")

    made = await api.post("/v1/keys", json={"tenant": "acme", "name": "ci"}, headers=admin)
    mine = bearer(made.json()["key"])
    accepted = await api.post("/v1/jobs", json=JOB, headers=mine)
    listed = await api.get("/v1/keys", headers=admin)
    revoked = await api.delete(made.headers["location"], headers=admin)

    assert (made.status_code, accepted.status_code, revoked.status_code) == (201, 202, 200)
    assert made.headers["cache-control"] == "no-store"
    assert {
        "tenant": "acme",
        "name": "ci",
        "state": "active",
        "scopes": ["read", "submit"],
    }.items() <= made.json().items()
    assert made.json()["key"][16:] not in listed.text
    assert revoked.json()["state"] == "revoked"
    await until_refused(lambda: api.get("/v1/jobs", headers=mine))


async def test_a_revocation_reaches_every_api_process_in_less_than_five_seconds(
    settings: Any, api: httpx2.AsyncClient, keyring: Keyring, connection: SyncRedis
) -> None:
    key_id, text = keyring.make_as("acme")
    async with started(settings) as elsewhere, calling(elsewhere) as other:

        def door_of(one: httpx2.AsyncClient) -> Callable[[], Any]:
            return lambda: one.get("/v1/jobs", headers=bearer(text))

        doors = [door_of(api), door_of(other)]
        assert [200, 200] == [(await door()).status_code for door in doors]

        key = connection.run(keyring.store.get(key_id))
        assert key is not None
        connection.run(keyring.store.put(key.revoked(NOW_MS)))

        await asyncio.gather(*map(until_refused, doors))


async def test_a_key_is_believed_for_two_seconds_and_no_longer(
    services: Services, keyring: Keyring, connection: SyncRedis
) -> None:
    now_s = 100.0
    ring = KeyRing(mux=services.mux, store=keyring.store, is_strict=True, now=lambda: now_s)
    key_id, text = keyring.make_as("acme")
    await ring.find(text)
    key = connection.run(keyring.store.get(key_id))
    assert key is not None
    connection.run(keyring.store.put(key.revoked(NOW_MS)))

    now_s += KNOWN_FOR_S - 0.01
    assert key_id == (await ring.find(text)).id
    now_s += 0.01
    with pytest.raises(Unauthenticated, match="revoked"):
        await ring.find(text)


async def test_an_unknown_key_cannot_be_revoked(api: httpx2.AsyncClient, keyring: Keyring) -> None:
    answer = await api.delete("/v1/keys/nobody", headers=keyring.headers("ops", "admin"))

    assert (answer.status_code, answer.json()["code"]) == (404, "key_not_found")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/tenant"),
        ({"tenant": "A/B"}, "/tenant"),
        ({"tenant": "a", "scopes": ["root"]}, "/scopes/0"),
        ({"tenant": "a", "scopes": []}, "/scopes"),
        ({"tenant": "a", "digest": "0"}, "/digest"),
        ({"tenant": "a", "expires_in_s": 0}, "/expires_in_s"),
    ],
)
async def test_a_key_that_cannot_be_made_names_the_field(
    api: httpx2.AsyncClient, body: dict[str, Any], pointer: str
) -> None:
    answer = await api.post("/v1/keys", json=body)

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


async def until_refused(ask: Callable[[], Any]) -> None:
    """A key is believed for two seconds; this machine may stand still for longer."""
    assert KNOWN_FOR_S < 5
    deadline = time.monotonic() + 30
    while (await ask()).status_code != 401:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
