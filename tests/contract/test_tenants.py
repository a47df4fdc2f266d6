"""One tenant never sees, changes or learns of what is another's. The application's own routes are walked, so that
routes that come later are held to it by themselves.
"""

import base64
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from headrace.endpoints import new_endpoint_id
from headrace.ids import new_job_id
from headrace.job_errors import error_document
from headrace.jobs import Cause, JobStatus
from headrace.keys import Keys
from headrace.settings import Settings
from headrace.store import JobStore
from headrace.store_work import Outcome
from headrace.sync_redis import SyncRedis
from tests.contract.conftest import HandWorker
from tests.contract.keyring import Keyring, routes_of

#: Parameters of paths that name nothing of a tenant's.
NOBODYS = {"name", "kind", "key_id", "queue", "tenant"}
#: Answers of which nothing may be told apart but the id and the number of the request.
_VOLATILE = re.compile(rb'"request_id":"[^"]*"')


@pytest.fixture
def keyring(connection: SyncRedis, keys: Keys) -> Keyring:
    """Makes keys for the test's cell."""
    return Keyring(connection, keys)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With a key that seals the secrets of endpoints."""
    return settings.model_copy(update={"webhook_key": base64.b64encode(b"k" * 32).decode()})


@pytest.fixture
async def foreign(
    api: httpx2.AsyncClient, keyring: Keyring, worker: HandWorker, connection: SyncRedis, store: JobStore
) -> dict[str, str]:
    """Jobs of another tenant by how they are: each state, and a dead letter."""
    headers = keyring.headers("acme")

    async def submit(text: str, **more: Any) -> str:
        body = {"model": "greeter", "input": {"text": text}, **more}
        answer = await api.post("/v1/jobs", json=body, headers={**headers, "Idempotency-Key": text})
        assert answer.status_code == 202
        return str(answer.json()["id"])

    ids = {name: await submit(name) for name in ("succeeded", "failed", "dead", "running")}
    done, failed, dead, running = worker.claim()
    worker.succeed(done, b'"secret"')
    worker.fail(failed)
    document = error_document(Cause.WORKER_LOST, "it killed its process twice")
    outcome = Outcome(dead.lease, JobStatus.FAILED, Cause.WORKER_LOST, document)
    connection.run(store.commit([outcome], ran_ms=5, result_ttl_s=60))
    worker.start(running)
    ids["queued"] = await submit("queued")
    ids["scheduled"] = await submit("scheduled", options={"not_before": 600})
    ids["canceled"] = await submit("canceled", webhook={"url": "https://example.com/done"})
    await api.post(f"/v1/jobs/{ids['canceled']}/cancel", headers=headers)
    return ids


@pytest.fixture
async def foreign_names(
    api: httpx2.AsyncClient, keyring: Keyring, foreign: dict[str, str]
) -> dict[str, dict[str, str]]:
    """What a tenant may name in a path: parameter -> what is another's -> its id."""
    registered = await api.post(
        "/v1/webhook-endpoints", json={"url": "https://example.com/all"}, headers=keyring.headers("acme", "admin")
    )
    assert registered.status_code == 201
    return {
        "job_id": foreign,
        "delivery_id": {"delivery of the canceled": f"{foreign['canceled']}-1"},
        "endpoint_id": {"endpoint": registered.json()["id"]},
    }


def routes_with_ids(app: FastAPI) -> Iterator[tuple[str, str, str]]:
    """Method, path and the parameter that names what may be a tenant's."""
    for method, path in routes_of(app):
        if names := set(re.findall(r"\{(\w+)", path)) - NOBODYS:
            [name] = names
            yield method, path, name


async def test_every_route_answers_a_foreign_id_as_one_that_was_never_given_out(
    app: FastAPI, api: httpx2.AsyncClient, keyring: Keyring, foreign_names: dict[str, dict[str, str]], keys: Keys
) -> None:
    """S-01."""
    headers = keyring.headers("rival", "admin")
    job_id = new_job_id(cell=keys.cell, tenant="rival", key=b"another installation's")
    invented = {"job_id": job_id, "delivery_id": f"{job_id}-1", "endpoint_id": new_endpoint_id()}

    async def answer(method: str, path: str, name: str, value: str) -> tuple[int, Any, bytes]:
        body: dict[str, Any] | None = {} if method in {"POST", "PUT", "PATCH"} else None
        got = await api.request(method, path.replace(f"{{{name}}}", value), headers=headers, json=body)
        shown = {name: value for name, value in got.headers.items() if name != "x-request-id"}
        return got.status_code, shown, _VOLATILE.sub(b"", got.content).replace(value.encode(), b"ID")

    walked = list(routes_with_ids(app))
    for method, path, name in walked:
        assert name in invented, f"say in this test how an id of {name} is made, for {path}"
        unknown = await answer(method, path, name, invented[name])
        assert unknown[0] in {404, 422}, (method, path)
        for what, value in foreign_names[name].items():
            assert unknown == await answer(method, path, name, value), (method, path, what)
    assert invented.keys() == {name for _, _, name in walked}


async def test_what_a_rival_tried_has_changed_nothing(
    app: FastAPI, api: httpx2.AsyncClient, keyring: Keyring, foreign_names: dict[str, dict[str, str]]
) -> None:
    mine, rival, foreign = keyring.headers("acme"), keyring.headers("rival", "admin"), foreign_names["job_id"]

    async def states() -> dict[str, Any]:
        answers = {name: await api.get(f"/v1/jobs/{job_id}", headers=mine) for name, job_id in foreign.items()}
        return {name: answer.json()["status"] for name, answer in answers.items()}

    before = await states()
    for method, path, name in routes_with_ids(app):
        for value in foreign_names[name].values():
            await api.request(method, path.replace(f"{{{name}}}", value), headers=rival)

    assert before == await states()
    assert before["queued"] == "queued"


async def test_no_list_of_any_route_shows_what_is_anothers(
    app: FastAPI, api: httpx2.AsyncClient, keyring: Keyring, foreign: dict[str, str]
) -> None:
    rival, mine = keyring.headers("rival", "read"), keyring.headers("acme", "read")
    paths = [path for method, path in routes_of(app) if method == "GET" and path.startswith("/v1/") and "{" not in path]

    seen = {path: await api.get(path, headers=rival) for path in paths}
    own = {path: await api.get(path, headers=mine) for path in paths}

    ids = set(foreign.values())
    assert {path: found for path, answer in seen.items() if (found := ids_in(answer, ids))} == {}
    assert ids == set.union(*(ids_in(answer, ids) for answer in own.values()))


def ids_in(answer: httpx2.Response, ids: set[str]) -> set[str]:
    return {job_id for job_id in ids if job_id in answer.text}


async def test_an_idempotency_key_is_its_tenants_own(api: httpx2.AsyncClient, keyring: Keyring) -> None:
    body = {"model": "greeter", "input": {"text": "x"}}
    ids = [
        (await api.post("/v1/jobs", json=body, headers={**keyring.headers(tenant), "Idempotency-Key": "k"})).json()[
            "id"
        ]
        for tenant in ("acme", "rival", "acme")
    ]

    assert ids[0] == ids[2]
    assert ids[0] != ids[1]


async def test_an_authentic_id_whose_job_is_gone_is_told_so_to_its_tenant_only(
    api: httpx2.AsyncClient, keyring: Keyring, foreign: dict[str, str], connection: SyncRedis, keys: Keys
) -> None:
    connection.client.delete(keys.job(f"acme/{foreign['succeeded']}"))
    path = f"/v1/jobs/{foreign['succeeded']}"

    assert (await api.get(path, headers=keyring.headers("acme"))).json()["code"] == "job_expired"
    assert (await api.get(path, headers=keyring.headers("rival"))).json()["code"] == "job_not_found"


async def test_one_tenants_full_queue_is_nobody_elses(api_with: Callable[..., Any], keyring: Keyring) -> None:
    body = {"model": "greeter", "input": {"text": "x"}}
    async with api_with(queue_cap=1) as api:
        acme, rival = keyring.headers("acme"), keyring.headers("rival")
        answers = [(await api.post("/v1/jobs", json=body, headers=h)).status_code for h in (acme, acme, rival)]

    assert answers == [202, 429, 202]


@pytest.mark.parametrize("field", ["tenant", "id", "status", "attempts", "fence", "score"])
@pytest.mark.parametrize("place", [None, "options"])
async def test_no_caller_sets_what_is_the_systems(
    api: httpx2.AsyncClient, field: str, place: str | None, queued: Callable[[], int]
) -> None:
    """S-03."""
    body: dict[str, Any] = {"model": "greeter", "input": {"text": "x"}}
    (body if place is None else body.setdefault(place, {}))[field] = 1

    answer = await api.post("/v1/jobs", json=body)

    pointer = f"/{field}" if place is None else f"/{place}/{field}"
    assert (answer.status_code, answer.json()["errors"][0]["pointer"], queued()) == (422, pointer, 0)


async def test_no_body_of_any_route_takes_a_field_that_it_does_not_know(app: FastAPI) -> None:
    """S-03: nothing that is the system's can be slipped in beside what is a caller's."""
    document = app.openapi()
    operations = [one for operations in document["paths"].values() for one in operations.values()]

    names = named_in([one["requestBody"] for one in operations if "requestBody" in one], document, set())

    shapes = {name: document["components"]["schemas"][name] for name in names}
    loose = [
        name for name, shape in shapes.items() if "properties" in shape and shape.get("additionalProperties", True)
    ]
    assert {"Options", "Changes", "KeyRequest"} <= names
    assert [] == loose


def named_in(part: Any, document: dict[str, Any], found: set[str]) -> set[str]:
    """The shapes that a part of the document leads to, but for what models say of their own inputs."""
    if isinstance(part, list):
        for one in part:
            named_in(one, document, found)
    elif isinstance(part, dict):
        name = str(part.get("$ref", "")).rpartition("/")[2]
        if name and name not in found and not name.endswith(".input"):
            found.add(name)
            named_in(document["components"]["schemas"][name], document, found)
        named_in(list(part.values()), document, found)
    return found


async def test_no_answer_invites_pages_of_other_sites(api: httpx2.AsyncClient) -> None:
    """S-08: a browser that reaches the API lends itself to nobody."""
    origin = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}

    answers = [await api.get("/v1/jobs", headers=origin), await api.options("/v1/jobs", headers=origin)]

    assert [200, 405] == [answer.status_code for answer in answers]
    assert [] == [name for answer in answers for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("depth", [100, 2_000, 30_000])
@pytest.mark.parametrize("brackets", ["[]", "{}"])
async def test_a_body_nested_however_deep_is_refused_and_nothing_breaks(
    api: httpx2.AsyncClient, depth: int, brackets: str
) -> None:
    """S-04."""
    opening = "[" if brackets == "[]" else '{"a":'
    nested = (opening * depth + "1" + brackets[1] * depth)[:60_000]
    body = f'{{"model":"greeter","input":{{"text":{nested}}}}}'

    answer = await api.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code in {400, 422}


async def test_the_document_describes_what_is_served_and_nothing_else(app: FastAPI) -> None:
    """S-09."""
    served = {(method.lower(), path) for method, path in routes_of(app) if path != "/" and not path.startswith("/docs")}
    described = {(method, path) for path, operations in app.openapi()["paths"].items() for method in operations}

    assert served == described
