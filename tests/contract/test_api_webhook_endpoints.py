"""Registered receivers of webhooks over HTTP; a real courier tells them."""

import asyncio
import base64
from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Any

import httpx2
import orjson
import pytest
from standardwebhooks import Webhook

from headrace.keys import Keys
from headrace.secret_box import SecretBox
from headrace.settings import Settings
from headrace.sync_redis import SyncRedis
from tests.contract.conftest import HandWorker
from tests.integration.receivers import Receiver
from workers.webhooks.courier import Courier

PATH = "/v1/webhook-endpoints"
KEY = base64.b64encode(b"k" * 32).decode()
BODY: dict[str, Any] = {"model": "greeter", "input": {"text": "world"}}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With a key that seals, and this machine allowed."""
    allowed = (IPv4Network("127.0.0.0/8"),)
    return settings.model_copy(update={"webhook_key": KEY, "webhook_allow_networks": allowed, "metrics_port": 0})


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def courier(settings: Settings) -> Iterator[Courier]:
    courier = Courier(settings=settings)
    courier.start()
    yield courier
    courier.stop()


async def register(api: httpx2.AsyncClient, url: str = "https://example.com/", **fields: Any) -> dict[str, Any]:
    answer = await api.post(PATH, json={"url": url, **fields})
    assert answer.status_code == 201, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def end(api: httpx2.AsyncClient, worker: HandWorker, endpoint_id: str) -> str:
    """The path of a job that names an endpoint and has succeeded."""
    answer = await api.post("/v1/jobs", json={**BODY, "webhook": {"endpoint": endpoint_id}})
    [job] = worker.claim()
    worker.succeed(job)
    return str(answer.json()["links"]["self"])


async def outcome(api: httpx2.AsyncClient, path: str) -> tuple[str, str | None]:
    webhook = (await api.get(path)).json()["webhook"]
    return webhook["status"], webhook["outcome"]


async def until_over(api: httpx2.AsyncClient, path: str) -> tuple[str, str | None]:
    for _ in range(600):
        found = await outcome(api, path)
        if found[0] != "pending":
            return found
        await httpx2_sleep()
    return found


async def httpx2_sleep() -> None:

    await asyncio.sleep(0.05)


async def test_a_secret_is_shown_once_and_kept_sealed(
    api: httpx2.AsyncClient, connection: SyncRedis, keys: Keys
) -> None:
    made = await register(api)

    shown = (await api.get(f"{PATH}/{made['id']}")).json()
    kept = orjson.loads(connection.client.hget(keys.endpoints("default"), made["id"]) or b"")

    assert made["secret"].startswith("whsec_")
    assert {name: value for name, value in made.items() if name != "secret"} == shown
    assert [shown] == (await api.get(PATH)).json()["endpoints"]
    assert made["secret"] == SecretBox(KEY).open(kept["secret"])
    assert "whsec" not in kept["secret"]


@pytest.mark.usefixtures("courier")
async def test_an_endpoint_is_told_and_signed_by_its_own_secret(
    api: httpx2.AsyncClient, worker: HandWorker, receiver: Receiver
) -> None:
    made = await register(api, receiver.url)

    path = await end(api, worker, made["id"])

    assert ("delivered", "http_204") == await until_over(api, path)
    [heard] = receiver.heard
    event = Webhook(made["secret"]).verify(heard.body, dict(heard.headers))
    assert event["data"]["job"]["links"]["self"] == path


@pytest.mark.usefixtures("courier")
async def test_an_endpoint_that_a_waiting_job_gets_is_told_of_its_start_and_end(
    api: httpx2.AsyncClient, worker: HandWorker, receiver: Receiver
) -> None:
    made = await register(api, receiver.url, events=["job.started", "job.succeeded"])
    path = (await api.post("/v1/jobs", json=BODY)).json()["links"]["self"]

    await api.patch(path, json={"webhook": {"endpoint": made["id"]}})
    [job] = worker.claim()
    worker.start(job)
    worker.succeed(job)

    assert ("delivered", "http_204") == await until_over(api, path)
    for _ in range(600):
        if len(receiver.heard) == 2:
            break
        await httpx2_sleep()
    told = [Webhook(made["secret"]).verify(heard.body, dict(heard.headers)) for heard in receiver.heard]
    assert {("job.started", 1), ("job.succeeded", 2)} == {(event["type"], event["data"]["seq"]) for event in told}


@pytest.mark.usefixtures("courier")
async def test_after_a_rotation_both_secrets_sign(
    api: httpx2.AsyncClient, worker: HandWorker, receiver: Receiver
) -> None:
    made = await register(api, receiver.url)
    rotated = (await api.post(f"{PATH}/{made['id']}/rotate")).json()

    await until_over(api, await end(api, worker, made["id"]))

    [heard] = receiver.heard
    for secret in (made["secret"], rotated["secret"]):
        assert Webhook(secret).verify(heard.body, dict(heard.headers))


@pytest.mark.usefixtures("courier")
async def test_what_it_does_not_subscribe_to_is_not_told(
    api: httpx2.AsyncClient, worker: HandWorker, receiver: Receiver
) -> None:
    made = await register(api, receiver.url, events=["job.failed"])

    path = await end(api, worker, made["id"])

    assert ("delivered", "not_subscribed") == await until_over(api, path)
    assert [] == receiver.heard


@pytest.mark.usefixtures("courier")
async def test_one_that_subscribes_to_starts_is_told_of_them(
    api: httpx2.AsyncClient, worker: HandWorker, receiver: Receiver
) -> None:
    made = await register(api, receiver.url, events=["job.started", "job.failed"])
    answer = await api.post("/v1/jobs", json={**BODY, "webhook": {"endpoint": made["id"]}})
    [job] = worker.claim()
    worker.start(job)

    for _ in range(600):
        if receiver.heard:
            break
        await httpx2_sleep()
    worker.succeed(job)

    assert ("delivered", "not_subscribed") == await until_over(api, answer.json()["links"]["self"])
    [heard] = receiver.heard
    assert "job.started" == Webhook(made["secret"]).verify(heard.body, dict(heard.headers))["type"]


@pytest.mark.usefixtures("courier")
async def test_a_result_is_left_to_be_fetched_where_only_links_are_wanted(
    api: httpx2.AsyncClient, worker: HandWorker, receiver: Receiver
) -> None:
    made = await register(api, receiver.url, include="link")

    await until_over(api, await end(api, worker, made["id"]))

    assert "result" not in orjson.loads(receiver.heard[0].body)["data"]["job"]


@pytest.mark.usefixtures("courier")
async def test_410_stops_an_endpoint_until_it_is_enabled_again(
    api: httpx2.AsyncClient, worker: HandWorker, receiver: Receiver
) -> None:
    made = await register(api, receiver.url)
    receiver.status = 410
    assert ("failed", "http_410") == await until_over(api, await end(api, worker, made["id"]))
    assert (await api.get(f"{PATH}/{made['id']}")).json()["stopped"] == "gone"

    receiver.status = 204
    assert ("failed", "endpoint_gone") == await until_over(api, await end(api, worker, made["id"]))
    enabled = await api.patch(f"{PATH}/{made['id']}", json={"enabled": True})

    assert (True, None) == (enabled.json()["enabled"], enabled.json()["stopped"])
    assert 1 == len(receiver.heard)


@pytest.mark.usefixtures("courier")
async def test_one_that_is_disabled_or_deleted_is_told_nothing(
    api: httpx2.AsyncClient, worker: HandWorker, receiver: Receiver
) -> None:
    disabled, deleted = await register(api, receiver.url), await register(api, receiver.url)
    await api.patch(f"{PATH}/{disabled['id']}", json={"enabled": False})
    path = (await api.post("/v1/jobs", json={**BODY, "webhook": {"endpoint": deleted["id"]}})).json()["links"]["self"]
    assert (await api.delete(f"{PATH}/{deleted['id']}")).status_code == 204
    await api.post(f"{path}/cancel")

    assert ("failed", "endpoint_deleted") == await until_over(api, path)
    assert ("failed", "endpoint_disabled") == await until_over(api, await end(api, worker, disabled["id"]))
    assert [] == receiver.heard


async def test_a_job_names_one_that_exists(api: httpx2.AsyncClient) -> None:
    unknown = await api.post("/v1/jobs", json={**BODY, "webhook": {"endpoint": "ep_" + "0" * 20}})
    both = await api.post("/v1/jobs", json={**BODY, "webhook": {"endpoint": "ep_" + "0" * 20, "url": "https://a.b/"}})
    neither = await api.post("/v1/jobs", json={**BODY, "webhook": {}})

    assert [422] * 3 == [answer.status_code for answer in (unknown, both, neither)]
    assert unknown.json()["errors"][0]["pointer"] == "/webhook/endpoint"


@pytest.mark.parametrize("url", ["https://10.0.0.1/", "http://example.com\\@x/", "https://example.com:22/"])
async def test_a_url_that_webhooks_may_not_be_sent_to_is_refused(api: httpx2.AsyncClient, url: str) -> None:
    made = await register(api)

    refused = [await api.post(PATH, json={"url": url}), await api.patch(f"{PATH}/{made['id']}", json={"url": url})]

    assert [(422, "/url")] * 2 == [(answer.status_code, answer.json()["errors"][0]["pointer"]) for answer in refused]
    assert (await api.get(f"{PATH}/{made['id']}")).json()["url"] == made["url"]


async def test_an_unknown_endpoint_is_404_whatever_is_asked(api: httpx2.AsyncClient) -> None:
    path = f"{PATH}/ep_none"

    answers = [await api.get(path), await api.delete(path), await api.post(f"{path}/rotate")]
    answers.append(await api.post(f"{path}/test"))
    answers.append(await api.patch(path, json={"enabled": True}))

    assert {(404, "endpoint_not_found")} == {(answer.status_code, answer.json()["code"]) for answer in answers}


@pytest.mark.usefixtures("courier")
async def test_a_test_arrives_signed_and_is_told(api: httpx2.AsyncClient, receiver: Receiver) -> None:
    made = await register(api, receiver.url)

    answer = await api.post(f"{PATH}/{made['id']}/test")

    [heard] = receiver.heard
    event = Webhook(made["secret"]).verify(heard.body, dict(heard.headers))
    tested = {"id": dict(heard.headers)["webhook-id"], "delivered": True, "outcome": "http_204"}
    assert (200, tested) == (answer.status_code, answer.json())
    assert ("endpoint.test", {"endpoint": {"id": made["id"]}}) == (event["type"], event["data"])
    assert [] == (await api.get("/v1/webhook-deliveries")).json()["deliveries"]


@pytest.mark.usefixtures("courier")
async def test_of_a_failed_test_only_the_status_is_told_and_nothing_follows_from_it(
    api: httpx2.AsyncClient, receiver: Receiver
) -> None:
    made = await register(api, receiver.url)
    receiver.status = 410

    answer = await api.post(f"{PATH}/{made['id']}/test")

    shown = (await api.get(f"{PATH}/{made['id']}")).json()
    assert {"delivered": False, "outcome": "http_410", "id": answer.json()["id"]} == answer.json()
    assert (True, None) == (shown["enabled"], shown["failing_since"])


@pytest.mark.usefixtures("courier")
async def test_a_test_goes_to_a_receiver_that_is_stopped_too(api: httpx2.AsyncClient, receiver: Receiver) -> None:
    made = await register(api, receiver.url)
    await api.patch(f"{PATH}/{made['id']}", json={"enabled": False})

    answer = await api.post(f"{PATH}/{made['id']}/test")

    assert answer.json()["delivered"]
    assert (await api.get(f"{PATH}/{made['id']}")).json()["stopped"] == "disabled"


async def test_a_test_goes_nowhere_that_webhooks_may_not_go(
    api: httpx2.AsyncClient, receiver: Receiver, settings: Settings
) -> None:
    made = await register(api, receiver.url)
    strict = Courier(settings=settings.model_copy(update={"webhook_allow_networks": ()}))
    strict.start()

    answer = await api.post(f"{PATH}/{made['id']}/test")
    strict.stop()

    assert (False, "url_refused") == (answer.json()["delivered"], answer.json()["outcome"])
    assert [] == receiver.heard


async def test_without_a_courier_a_test_is_taken_back(
    api: httpx2.AsyncClient,
    receiver: Receiver,
    connection: SyncRedis,
    keys: Keys,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("api.endpoint_tests._TAKEN_WITHIN_S", 0.5)
    made = await register(api, receiver.url)

    first, second = await asyncio.gather(*(api.post(f"{PATH}/{made['id']}/test") for _ in range(2)))

    assert {200, 409} == {first.status_code, second.status_code}
    told = first if first.status_code == 200 else second
    assert (False, "no_courier") == (told.json()["delivered"], told.json()["outcome"])
    assert 0 == connection.client.exists(keys.endpoint_tests, keys.endpoint_test("default"))


async def test_without_a_key_no_secret_is_kept(
    api: httpx2.AsyncClient, api_with: Any, connection: SyncRedis, keys: Keys
) -> None:
    made = await register(api)
    kept = connection.client.hget(keys.endpoints("default"), made["id"])

    async with api_with(webhook_key="") as keyless:
        refused = await keyless.post(PATH, json={"url": "https://example.com/"})
        unchanged = await keyless.post(f"{PATH}/{made['id']}/rotate")

    assert [409, 409] == [refused.status_code, unchanged.status_code]
    assert "webhook_key" in refused.json()["detail"]
    assert kept == connection.client.hget(keys.endpoints("default"), made["id"])
