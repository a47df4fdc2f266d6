"""Models, queues, workers, health, and what every answer has in common."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import httpx2
import pytest
from fastapi import FastAPI

from api.outgoing import Outgoing
from api.tenant_jobs import TenantJobs
from headrace.errors import HeadraceError
from headrace.keys import Keys
from headrace.presence import GroupLoad, WorkerPresence, WorkerState
from headrace.settings import Settings
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass
from registry.registry import Registry
from scheduler.embedded_server import free_port
from scheduler.leadership import Leadership
from scheduler.scaler import Scaler
from tests.contract.conftest import HandWorker
from tests.contract.keyring import routes_of
from tests.model_folder import write_model

BODY: dict[str, Any] = {"model": "greeter", "input": {"text": "world"}}


async def test_models_show_what_they_take_and_give(api: httpx2.AsyncClient) -> None:
    listed = (await api.get("/v1/models")).json()["models"]
    one = (await api.get("/v1/models/greeter")).json()

    assert [one] == listed
    assert (one["name"], one["version"], one["max_batch"], one["description"]) == ("greeter", 1, 8, "Says hello.")
    assert one["input_schema"]["required"] == ["text"]
    assert one["examples"] == [{"text": "world", "times": 1}]


async def test_a_model_is_warmed_in_the_versions_that_get_its_jobs(
    api: httpx2.AsyncClient, redis_url: str, store: JobStore
) -> None:
    redis = SyncRedis(url=redis_url)
    now_ms = time.time_ns() // 1_000_000
    answer = await api.post("/v1/models/greeter/warm?for_s=60")

    assert (202, "greeter", [1]) == (answer.status_code, answer.json()["model"], answer.json()["versions"])
    assert ["greeter@1"] == redis.run(store.warm(now_ms=now_ms + 59_000))
    assert [] == redis.run(store.warm(now_ms=now_ms + 90_000))
    redis.close()


@pytest.mark.parametrize(
    ("path", "code"), [("nobody/warm", "model_not_found"), ("greeter/warm?for_s=0", "invalid_input")]
)
async def test_what_cannot_be_warmed_is_said(api: httpx2.AsyncClient, path: str, code: str) -> None:
    answer = await api.post(f"/v1/models/{path}")

    assert code == answer.json()["code"]


async def test_an_unknown_model_is_404(api: httpx2.AsyncClient) -> None:
    answer = await api.get("/v1/models/nobody")

    assert (answer.status_code, answer.json()["code"]) == (404, "model_not_found")


@pytest.mark.slow
async def test_a_model_can_be_used_the_moment_it_was_pushed(
    api_with: Callable[..., Any], tmp_path: Path, registry_url: str
) -> None:
    source = Path(Registry(url=registry_url).fetch(Registry(url=registry_url).releases()["greeter"].current, tmp_path))
    url = (tmp_path / "new").as_uri()
    async with api_with(registry_url=url, registry_poll_s=3600) as api:
        before = await api.post("/v1/jobs", json=BODY)
        Registry(url=url).push(source, name="greeter")
        after = await api.post("/v1/jobs", json=BODY)

    assert (before.status_code, after.status_code) == (404, 202)
    assert "no model is released" in before.json()["detail"]


async def test_what_no_worker_class_can_run_is_said_at_once(api_with: Callable[..., Any], tmp_path: Path) -> None:
    url = (tmp_path / "new").as_uri()
    folder = write_model(
        tmp_path / "demanding",
        """
class Demanding(Model, labels=("nvlink",)):
    def forward(self, batch: list[str]) -> list[str]: return batch
""",
    )
    Registry(url=url).push(folder, name="demanding")
    lacking = {"on-demand": WorkerClass()}
    having = {**lacking, "gpu": WorkerClass(min_workers=0, labels=("nvlink",))}

    async def submitted(classes: dict[str, WorkerClass]) -> dict[str, Any]:
        async with api_with(registry_url=url, worker_classes=classes) as api:
            job: dict[str, Any] = (await api.post("/v1/jobs", json={"model": "demanding", "input": "x"})).json()
            return job

    impossible, possible = await submitted(lacking), await submitted(having)

    assert "no_compatible_worker" == impossible["reason"]
    assert "on-demand: it needs a worker with the label nvlink" in impossible["reason_detail"]
    assert "no worker class" not in (possible["reason_detail"] or "")


async def test_queues_count_what_waits_by_tier(api: httpx2.AsyncClient) -> None:
    for tier in ("standard", "standard", "spot"):
        await api.post("/v1/jobs", json={**BODY, "options": {"tier": tier}})

    queues = {queue["tier"]: queue for queue in (await api.get("/v1/queues")).json()["queues"]}

    assert {tier: queue["depth"] for tier, queue in queues.items()} == {"priority": 0, "standard": 2, "spot": 1}
    assert queues["priority"]["oldest_age_ms"] is None
    assert queues["standard"]["oldest_age_ms"] >= 0
    assert queues["standard"]["reason"] == "no_compatible_worker"


async def test_queues_count_what_runs_what_came_and_what_was_done(
    api: httpx2.AsyncClient, connection: SyncRedis, keys: Keys, worker: HandWorker
) -> None:
    presence = WorkerPresence(
        id="w1",
        worker_class="on-demand",
        host="here",
        pid=1,
        device="cpu",
        tiers=tuple(Tier),
        state=WorkerState.READY,
        started_ms=1_700_000_000_000,
        groups={"greeter@1:standard": GroupLoad(held=2, running=1)},
    )
    connection.client.zadd(keys.workers, {"w1": 1})
    connection.client.set(keys.worker("w1"), presence.to_bytes())
    for _ in range(3):
        await api.post("/v1/jobs", json=BODY)
    claimed = worker.claim()
    worker.succeed(claimed[0])

    [queue] = [q for q in (await api.get("/v1/queues")).json()["queues"] if q["tier"] == "standard"]

    assert (queue["held"], queue["running"], queue["arrived"], queue["ended"]) == (2, 1, 3, 1)
    assert queue["wait_ms"] >= 0


def test_head_is_answered_as_get_without_a_body(live_url: str) -> None:
    with httpx2.Client(base_url=live_url) as client:
        answers = [client.request(method, path) for path in ("/livez", "/v1/jobs") for method in ("HEAD", "GET")]
        unknown, only_post = client.head("/v1/jobs/unknown"), client.head("/v1/estimate")

    for head, get in zip(answers[::2], answers[1::2], strict=True):
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == get.headers["content-length"]
    assert [404, 405] == [unknown.status_code, only_post.status_code]


async def test_what_no_route_knows_is_refused_by_every_route(app: FastAPI, api: httpx2.AsyncClient) -> None:
    walked = [(method, path) for method, path in routes_of(app) if path.startswith("/v1/") and "/metrics/" not in path]

    for method, path in walked:
        answer = await api.request(method, f"{path.replace('{', '').replace('}', '')}?strct=true")
        problem = answer.json()
        told = (answer.status_code, [(field["pointer"], field["code"]) for field in problem["errors"]])
        assert told == (422, [("/query/strct", "unknown_parameter")]), f"{method} {path}"

    assert len(walked) > 40
    assert (await api.get("/livez?at=now")).status_code == 200


async def test_a_parameter_that_is_not_known_is_answered_with_those_that_are(api: httpx2.AsyncClient) -> None:
    some, none = await api.get("/v1/jobs?state=queued"), await api.get("/v1/limits?of=me")

    known = "created_after, created_before, cursor, limit, model, status, tenant, tier, metadata.name"
    assert some.json()["detail"] == f"/query/state: is not known; known are {known}"
    assert none.json()["detail"] == "/query/of: is not known; there are none here"


@pytest.mark.parametrize("path", ["/v1/jobs?limit=1&limit=2", "/v1/queues?a=&a", "/v1/models/greeter?x=1&y=2&x=3"])
async def test_a_parameter_that_is_given_twice_is_refused_by_name(api: httpx2.AsyncClient, path: str) -> None:
    answer = await api.get(path)

    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "repeated")
    assert answer.json()["errors"][0]["pointer"] in ("/query/limit", "/query/a", "/query/x")


async def test_before_a_scheduler_has_decided_there_is_nothing_to_show(api: httpx2.AsyncClient) -> None:
    document = (await api.get("/v1/scaling")).json()

    assert document == {"scheduler": None, "decided": None, "cost_per_hour": None, "classes": [], "changes": []}


async def test_what_the_scheduler_decided_is_shown_with_its_reasons(
    api: httpx2.AsyncClient, connection: SyncRedis, settings: Settings, keys: Keys
) -> None:
    await api.post("/v1/jobs", json=BODY)
    leadership = Leadership(keys=keys, scheduler="s1", ttl_ms=60_000)
    scaler = Scaler(settings=settings, connection=connection, store=JobStore(keys), leadership=leadership)
    scaler.step(connection.run(leadership.take()), 0.0)

    document = (await api.get("/v1/scaling")).json()

    rows = {row["worker_class"]: row for row in document["classes"]}
    assert (document["scheduler"], document["cost_per_hour"]) == ("s1", 0.0)
    assert (rows["on-demand"]["count"], rows["on-demand"]["jobs"], rows["spot"]["count"]) == (1, 1, 0)
    assert "1 jobs of standard" in rows["on-demand"]["reasons"][0]
    assert [("on-demand", 0, 1)] == [
        (change["worker_class"], change["before"], change["after"]) for change in document["changes"]
    ]


async def test_the_numbers_alone_are_for_other_scalers(
    api: httpx2.AsyncClient, connection: SyncRedis, keys: Keys
) -> None:
    connection.client.hset(keys.desired, mapping={"on-demand": 2, "spot": 0})

    assert {"on-demand": 2, "spot": 0} == (await api.get("/v1/scaling/desired")).json()


async def test_before_a_scheduler_has_decided_other_scalers_are_told_to_wait(api: httpx2.AsyncClient) -> None:
    answer = await api.get("/v1/scaling/desired")

    assert (503, "unavailable") == (answer.status_code, answer.json()["code"])


async def test_a_process_that_can_serve_is_alive_and_ready(api: httpx2.AsyncClient) -> None:
    assert (await api.get("/livez")).json() == {"status": "alive"}
    assert (await api.get("/readyz")).json() == {"status": "ready"}


async def test_a_process_without_redis_is_alive_but_not_ready_and_starts_all_the_same(
    api_with: Callable[..., Any],
) -> None:
    async with api_with(redis_url=f"redis://127.0.0.1:{free_port()}/0") as api:
        alive, ready = await api.get("/livez"), await api.get("/readyz")
        refused = await api.post("/v1/jobs", json=BODY)

    assert (alive.status_code, ready.status_code, refused.status_code) == (200, 503, 503)
    assert "cannot be reached" in ready.json()["detail"]
    assert refused.json()["code"] == "redis_unavailable"
    assert int(refused.headers["retry-after"]) >= 1


async def test_a_model_that_cannot_be_served_is_a_reason_not_to_be_ready(
    api_with: Callable[..., Any], tmp_path: Path, registry_url: str
) -> None:
    shutil.copytree(url2pathname(urlparse(registry_url).path), tmp_path / "damaged")
    for manifest in (tmp_path / "damaged").glob("models/greeter/versions/**/*.json"):
        manifest.write_text("{")
    async with api_with(registry_url=(tmp_path / "damaged").as_uri()) as api:
        ready = await api.get("/readyz")

    assert ready.status_code == 503
    assert "greeter is not served" in ready.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/jobs", "GET, POST"),
        ("POST", "/v1/jobs/some", "DELETE, GET, PATCH, PUT"),
        ("GET", "/v1/jobs/some/cancel", "POST"),
        ("POST", "/v1/models", "GET"),
    ],
)
async def test_a_wrong_method_is_answered_with_the_right_ones(
    api: httpx2.AsyncClient, method: str, path: str, allowed: str
) -> None:
    answer = await api.request(method, path)

    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert allowed == answer.headers["allow"]


async def test_an_unknown_path_is_a_problem_too(api: httpx2.AsyncClient) -> None:
    answer = await api.get("/v2/jobs")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("limit", ["x", "0", "501"])
async def test_a_wrong_parameter_is_named(api: httpx2.AsyncClient, limit: str) -> None:
    answer = await api.get(f"/v1/jobs?limit={limit}")

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/query/limit")


async def test_a_fault_of_ours_is_told_by_its_id_only(
    api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(TenantJobs, "browse", fail)
    answer = await api.get("/v1/jobs", headers={"X-Request-Id": "mine-1"})

    assert (
        answer.status_code,
        answer.json()["code"],
        answer.headers["x-request-id"],
    ) == (500, "internal_error", "mine-1")
    assert "secret" not in answer.text
    assert "mine-1" in caplog.text
    assert "a secret detail" in caplog.text


async def test_a_request_id_that_could_do_harm_is_replaced(api: httpx2.AsyncClient) -> None:
    answer = await api.get("/livez", headers={"X-Request-Id": "a b"})

    assert answer.headers["x-request-id"] != "a b"


async def test_every_kind_of_problem_explains_itself(api: httpx2.AsyncClient) -> None:
    refused = await api.get("/v1/jobs/nobody")
    explained = await api.get(refused.json()["type"])
    unknown = await api.get("/problems/nothing-known")

    assert explained.json()["code"] == "job_not_found"
    assert unknown.status_code == 404


def test_every_error_has_its_own_code() -> None:
    def codes(kind: type[HeadraceError]) -> list[str]:
        return [kind.code, *(code for child in kind.__subclasses__() for code in codes(child))]

    assert len(set(codes(HeadraceError))) == len(codes(HeadraceError))


def test_the_document_names_every_route_with_an_answer_and_an_example_of_a_submission(app: FastAPI) -> None:
    document = app.openapi()

    assert {"/v1/jobs", "/v1/jobs/{job_id}/result", "/v1/queues", "/readyz"} <= document["paths"].keys()
    for path in document["paths"].values():
        for operation in path.values():
            assert operation["summary"]
            assert "default" in operation["responses"]
    assert document["components"]["schemas"]["SubmitBody"]["examples"]


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "example.org", "::"])  # noqa: S104 - nothing is bound
async def test_at_an_address_that_others_reach_keys_are_demanded_even_before_there_are_any(
    api_with: Callable[..., Any], host: str
) -> None:
    async with api_with(api_host=host) as api:
        answer = await api.get("/v1/jobs")

    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


def test_an_answer_leaves_in_one_piece(live_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[bytes] = []

    class Noted:
        def __init__(self, transport: Any) -> None:
            self._transport = transport
            self.is_closing, self.close = transport.is_closing, transport.close

        def write(self, data: bytes) -> None:
            sent.append(data)
            self._transport.write(data)

    monkeypatch.setattr("api.connection.Outgoing", lambda transport: Outgoing(Noted(transport)))
    answer = httpx2.get(f"{live_url}/livez")

    assert 1 == len(sent)
    assert sent[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert sent[0].endswith(b"\r\n\r\n" + answer.content)
