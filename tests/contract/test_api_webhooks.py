"""Webhooks over HTTP: which are taken, and how far they are; the courier's part is played by hand."""

import asyncio
from collections.abc import Callable
from ipaddress import IPv4Network
from typing import Any

import httpx2
import orjson
import pytest
from standardwebhooks import Webhook

from api.services import Services
from headrace.delivery_store import DeliveryStore, Settlement
from headrace.keys import Keys
from headrace.redis_op import RedisOp
from headrace.sync_redis import SyncRedis
from headrace.webhook_event import body_of
from headrace.webhooks import DeliveryState, DueDelivery, event_id_of
from tests.contract.conftest import HandWorker

URL = "https://example.com/done?token=1"
BODY: dict[str, Any] = {"model": "greeter", "input": {"text": "world"}}
HOOKED: dict[str, Any] = {**BODY, "webhook": {"url": URL}}


class HandCourier:
    """Leases deliveries and says what came of them."""

    def __init__(self, connection: SyncRedis, deliveries: DeliveryStore) -> None:
        self._run = connection.run
        self._deliveries = deliveries

    def lease(self) -> DueDelivery:
        [due] = self._run(self._deliveries.claim(limit=10, lease_ms=60_000, most_output_bytes=1000)).due
        return due

    def settle(self, due: DueDelivery, state: DeliveryState, outcome: str) -> None:
        settlement = Settlement(due.id, due.fence, state, outcome, 60_000)
        assert self._run(self._deliveries.settle([settlement], result_ttl_s=60)) == [True]


@pytest.fixture
def courier(connection: SyncRedis, keys: Keys) -> HandCourier:
    return HandCourier(connection, DeliveryStore(keys))


async def submit_and_end(api: httpx2.AsyncClient, worker: HandWorker) -> str:
    """The path of a job with a webhook that has ended."""
    path: str = (await api.post("/v1/jobs", json=HOOKED)).json()["links"]["self"]
    [job] = worker.claim()
    worker.succeed(job)
    return path


async def test_a_webhook_is_taken_and_waits_for_the_end(api: httpx2.AsyncClient) -> None:
    record = (await api.post("/v1/jobs", json=HOOKED)).json()
    again = (await api.get(record["links"]["self"])).json()

    pending = {"url": URL, "status": "pending", "attempts": 0, "outcome": None, "attempted": None, "next_attempt": None}
    assert pending == record["webhook"] == again["webhook"]
    assert (await api.get("/v1/webhook-deliveries")).json() == {"deliveries": []}


async def test_who_watches_a_job_is_told_that_its_webhook_was_delivered(
    api: httpx2.AsyncClient, services: Services, worker: HandWorker, courier: HandCourier
) -> None:
    services.lookout._pause_s = 0.02
    path = await submit_and_end(api, worker)
    pending = await api.get(path, headers={"Prefer": "wait=1"})
    fields = {"Prefer": "wait=30", "If-None-Match": pending.headers["etag"]}

    answer = asyncio.create_task(api.get(path, headers=fields))
    courier.settle(courier.lease(), DeliveryState.DELIVERED, "http_204")
    told = await answer
    while told.json()["webhook"]["status"] == "pending":  # it may have been seen under way
        told = await api.get(path, headers={**fields, "If-None-Match": told.headers["etag"]})
    known = await api.get(path, headers={**fields, "If-None-Match": told.headers["etag"]})

    assert (told.json()["webhook"]["outcome"], known.status_code) == ("http_204", 304)


async def test_a_job_without_one_says_so_and_leaves_nothing_to_deliver(
    api: httpx2.AsyncClient, worker: HandWorker, connection: SyncRedis, keys: Keys
) -> None:
    record = (await api.post("/v1/jobs", json=BODY)).json()
    [job] = worker.claim()
    worker.succeed(job)

    assert (await api.get(record["links"]["self"])).json()["webhook"] is None
    assert connection.client.exists(keys.outbox) == 0


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://example.com/", "https://"),
        ("ftp://example.com/", "https://"),
        ("example.com/done", "https://"),
        ("https:///done", "https://"),
        ("https://me:secret@example.com/", "user name"),
        ("https://example.com:25/", "port 25"),
        ("https://127.0.0.1/", "127.0.0.1"),
        ("https://[::1]:8443/", "::1"),
        ("https://2130706433/", "127.0.0.1"),
        ("https://169.254.169.254/latest/meta-data/", "169.254.169.254"),
        ("https://a b/", "host"),
        ("https://" + "x" * 2_050, "at most"),
    ],
)
async def test_a_url_that_webhooks_may_not_go_to_is_refused_at_once(
    api: httpx2.AsyncClient, queued: Callable[[], int], url: str, said: str
) -> None:
    answer = await api.post("/v1/jobs", json={**BODY, "webhook": {"url": url}})

    [field] = answer.json()["errors"]
    assert (answer.status_code, field["pointer"]) == (422, "/webhook/url")
    assert said in field["detail"]
    assert queued() == 0


async def test_a_job_that_waits_gets_a_webhook_and_loses_it(
    api: httpx2.AsyncClient, worker: HandWorker, courier: HandCourier
) -> None:
    told, silent = [(await api.post("/v1/jobs", json=BODY)).json()["links"]["self"] for _ in range(2)]

    given = [(await api.patch(path, json={"webhook": {"url": URL}})).json() for path in (told, silent)]
    taken = (await api.patch(silent, json={"webhook": None})).json()
    for job in worker.claim():
        worker.succeed(job)

    assert [URL, URL] == [record["webhook"]["url"] for record in given]
    assert (taken["webhook"], (await api.get(silent)).json()["webhook"]) == (None, None)
    due = courier.lease()
    assert (due.url, due.job.id) == (URL, given[0]["id"])
    assert (await api.patch(told, json={"webhook": None})).json()["code"] == "job_not_waiting"


@pytest.mark.parametrize(
    ("webhook", "pointer"),
    [
        ({"url": "https://127.0.0.1/"}, "/webhook/url"),
        ({"url": URL, "secret": "x"}, "/webhook/secret"),
        ({"endpoint": "ep_00000000000000000000"}, "/webhook/endpoint"),
        ({}, "/webhook"),
    ],
)
async def test_a_webhook_that_no_submission_may_name_no_change_may_either(
    api: httpx2.AsyncClient, webhook: dict[str, Any], pointer: str
) -> None:
    path = (await api.post("/v1/jobs", json=HOOKED)).json()["links"]["self"]

    answer = await api.patch(path, json={"webhook": webhook})

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert (await api.get(path)).json()["webhook"]["url"] == URL


async def test_an_unknown_field_is_refused_with_the_known_ones(api: httpx2.AsyncClient) -> None:
    answer = await api.post("/v1/jobs", json={**BODY, "webhook": {"url": URL, "secret": "x"}})

    [field] = answer.json()["errors"]
    assert (field["pointer"], field["detail"]) == ("/webhook/secret", "is not known; known are url, endpoint, events")


async def test_a_job_says_which_events_its_url_is_told(
    api: httpx2.AsyncClient, worker: HandWorker, courier: HandCourier
) -> None:
    webhook = {"url": URL, "events": ["job.started", "job.failed"]}
    path = (await api.post("/v1/jobs", json={**BODY, "webhook": webhook})).json()["links"]["self"]
    [job] = worker.claim()
    worker.start(job)

    started = courier.lease()
    courier.settle(started, DeliveryState.DELIVERED, "http_200")
    running = (await api.get(path)).json()["webhook"]
    worker.succeed(job)
    ended = courier.lease()
    courier.settle(ended, DeliveryState.DELIVERED, "not_subscribed")

    assert ("job.started", "job.succeeded") == (started.event, ended.event)
    assert ("pending", 0) == (running["status"], running["attempts"])
    over = (await api.get(path)).json()["webhook"]
    assert ("delivered", "not_subscribed") == (over["status"], over["outcome"])
    listed = (await api.get("/v1/webhook-deliveries")).json()["deliveries"]
    assert sorted(map(event_id_of, (started.id, ended.id))) == sorted(each["id"] for each in listed)


async def test_progress_is_told_to_a_url_that_asks_for_it(
    api: httpx2.AsyncClient, worker: HandWorker, courier: HandCourier
) -> None:
    webhook = {"url": URL, "events": ["job.progress", "job.succeeded"]}
    await api.post("/v1/jobs", json={**BODY, "webhook": webhook})
    [job] = worker.claim()
    worker.start(job)
    worker.say(job, 0.4, "denoising")

    said = courier.lease()
    courier.settle(said, DeliveryState.DELIVERED, "http_200")
    worker.succeed(job)
    ended = courier.lease()

    assert ("job.progress", "job.succeeded") == (said.event, ended.event)
    shown = orjson.loads(body_of(said))["data"]
    assert (1, "running", 0.4) == (shown["seq"], shown["job"]["status"], shown["job"]["progress"]["fraction"])
    assert "progress" not in orjson.loads(body_of(ended))["data"]["job"]


@pytest.mark.parametrize(
    ("webhook", "pointer"),
    [
        ({"url": URL, "events": []}, "/webhook/events"),
        ({"url": URL, "events": ["job.moved"]}, "/webhook/events/0"),
        ({"endpoint": "ep_" + "0" * 20, "events": ["job.failed"]}, "/webhook"),
    ],
)
async def test_events_that_mean_nothing_are_refused(
    api: httpx2.AsyncClient, webhook: dict[str, Any], pointer: str
) -> None:
    answer = await api.post("/v1/jobs", json={**BODY, "webhook": webhook})

    [field] = answer.json()["errors"]
    assert (422, pointer) == (answer.status_code, field["pointer"])


async def test_a_retry_tells_what_the_old_job_told(
    api: httpx2.AsyncClient, worker: HandWorker, courier: HandCourier
) -> None:
    webhook = {"url": URL, "events": ["job.started", "job.failed"]}
    path = (await api.post("/v1/jobs", json={**BODY, "webhook": webhook})).json()["links"]["self"]
    [job] = worker.claim()
    worker.fail(job)
    courier.settle(courier.lease(), DeliveryState.DELIVERED, "http_200")

    await api.post(f"{path}/retry")
    [again] = worker.claim()
    worker.start(again)

    assert "job.started" == courier.lease().event


async def test_plain_http_is_taken_for_networks_that_are_allowed(api_with: Callable[..., Any]) -> None:
    async with api_with(webhook_allow_networks=(IPv4Network("127.0.0.0/8"),)) as api:
        taken = await api.post("/v1/jobs", json={**BODY, "webhook": {"url": "http://127.0.0.1:80/done"}})
        refused = await api.post("/v1/jobs", json={**BODY, "webhook": {"url": "http://10.0.0.1/done"}})

    assert (taken.status_code, refused.status_code) == (202, 422)


async def test_an_end_that_no_courier_has_tried_to_tell_is_listed(api: httpx2.AsyncClient, worker: HandWorker) -> None:
    path = await submit_and_end(api, worker)

    [delivery] = (await api.get("/v1/webhook-deliveries")).json()["deliveries"]
    assert (delivery["status"], delivery["attempts"], delivery["outcome"]) == ("pending", 0, None)
    assert delivery["job"]["links"]["self"] == path
    assert delivery["id"] == delivery["job"]["id"] + "-1"
    assert delivery["next_attempt"] is not None


async def test_the_job_and_the_list_tell_of_each_attempt(
    api: httpx2.AsyncClient, worker: HandWorker, courier: HandCourier
) -> None:
    path = await submit_and_end(api, worker)

    due = courier.lease()
    begun = (await api.get(path)).json()["webhook"]
    courier.settle(due, DeliveryState.PENDING, "http_500")
    failed = (await api.get(path)).json()["webhook"]
    [listed] = (await api.get("/v1/webhook-deliveries")).json()["deliveries"]

    assert (begun["status"], begun["attempts"], begun["outcome"]) == ("pending", 1, None)
    assert (failed["status"], failed["attempts"], failed["outcome"]) == ("pending", 1, "http_500")
    assert failed["next_attempt"] > failed["attempted"]
    assert failed == {name: listed[name] for name in failed}


async def test_what_is_over_has_no_next_attempt(
    api: httpx2.AsyncClient, worker: HandWorker, courier: HandCourier
) -> None:
    path = await submit_and_end(api, worker)

    courier.settle(courier.lease(), DeliveryState.DELIVERED, "http_204")

    webhook = (await api.get(path)).json()["webhook"]
    assert (webhook["status"], webhook["outcome"], webhook["next_attempt"]) == ("delivered", "http_204", None)


async def test_the_newest_are_listed_first_and_no_more_than_asked_for(
    api: httpx2.AsyncClient, worker: HandWorker, courier: HandCourier
) -> None:
    paths = []
    for _ in range(3):
        paths.append(await submit_and_end(api, worker))
        courier.settle(courier.lease(), DeliveryState.DELIVERED, "http_200")
    paths.append(await submit_and_end(api, worker))

    listed = (await api.get("/v1/webhook-deliveries?limit=2")).json()["deliveries"]
    assert [paths[3], paths[2]] == [delivery["job"]["links"]["self"] for delivery in listed]


async def test_deliveries_of_other_tenants_that_are_due_earlier_hide_none(
    api: httpx2.AsyncClient, worker: HandWorker, connection: SyncRedis, keys: Keys
) -> None:
    for number in range(3):
        connection.run(RedisOp(int, ("ZADD", keys.outbox, number, f"crowd/c1-{number}:1")))
    path = await submit_and_end(api, worker)

    [listed] = (await api.get("/v1/webhook-deliveries?limit=2")).json()["deliveries"]

    assert path == listed["job"]["links"]["self"]


async def test_a_delivery_that_failed_is_told_again_from_the_first_attempt_on(
    api: httpx2.AsyncClient, worker: HandWorker, courier: HandCourier
) -> None:
    path = await submit_and_end(api, worker)
    first = courier.lease()
    courier.settle(first, DeliveryState.FAILED, "http_500")
    event_id = (await api.get("/v1/webhook-deliveries")).json()["deliveries"][0]["id"]

    answer = await api.post(f"/v1/webhook-deliveries/{event_id}/replay")

    assert answer.status_code == 202
    assert (event_id, "pending", 0) == tuple(answer.json()[name] for name in ("id", "status", "attempts"))
    again = courier.lease()
    assert (first.id, 1, first.output) == (again.id, again.attempts, again.output)
    courier.settle(again, DeliveryState.DELIVERED, "http_200")
    assert (await api.get(path)).json()["webhook"]["status"] == "delivered"


@pytest.mark.parametrize("event_id", ["c1-none-1", "nothing", "c1-none-x", "-1"])
async def test_what_is_no_delivery_cannot_be_replayed(api: httpx2.AsyncClient, event_id: str) -> None:
    answer = await api.post(f"/v1/webhook-deliveries/{event_id}/replay")

    assert (404, "delivery_not_found") == (answer.status_code, answer.json()["code"])


async def test_all_that_failed_since_a_time_are_replayed_together(
    api: httpx2.AsyncClient, worker: HandWorker, courier: HandCourier
) -> None:
    failed = []
    for state in (DeliveryState.FAILED, DeliveryState.DELIVERED, DeliveryState.FAILED):
        await submit_and_end(api, worker)
        due = courier.lease()
        courier.settle(due, state, "http_500")
        if state is DeliveryState.FAILED:
            failed.append(event_id_of(due.id))

    late = await api.post("/v1/webhook-deliveries:replay", params={"since": "2100-01-01T00:00:00Z"})
    answer = await api.post("/v1/webhook-deliveries:replay", params={"since": "2000-01-01T00:00:00Z"})
    nothing = await api.post("/v1/webhook-deliveries:replay")

    assert {"replayed": []} == late.json() == nothing.json()
    assert set(failed) == set(answer.json()["replayed"])


async def test_a_listener_gets_events_as_they_are_sent_and_signed_for_it_too(
    api: httpx2.AsyncClient, worker: HandWorker, courier: HandCourier, connection: SyncRedis, keys: Keys
) -> None:
    start = (await api.get("/v1/webhook-events")).json()
    path = await submit_and_end(api, worker)
    due = courier.lease()

    answer = await api.get("/v1/webhook-events", params={"after": start["cursor"], "wait": 5})

    [event] = answer.json()["events"]
    assert ("no-store", []) == (answer.headers["cache-control"], start["events"])
    assert (event_id_of(due.id), "job.succeeded", URL) == (event["id"], event["type"], event["url"])
    assert ("pending", 1, None) == (event["status"], event["attempts"], event["outcome"])
    [tenants] = connection.run(DeliveryStore(keys).secrets("default"))
    assert start["secret"] == answer.json()["secret"] != tenants
    for secret in (start["secret"], tenants):
        verified = Webhook(secret).verify(event["body"], event["headers"])
        assert path == verified["data"]["job"]["links"]["self"]
    again = await api.get("/v1/webhook-events", params={"after": answer.json()["cursor"]})
    assert [] == again.json()["events"]


async def test_a_listener_that_waits_hears_of_what_comes_meanwhile(
    api: httpx2.AsyncClient, worker: HandWorker, courier: HandCourier
) -> None:
    start = (await api.get("/v1/webhook-events")).json()
    waiting = asyncio.create_task(api.get("/v1/webhook-events", params={"after": start["cursor"], "wait": 30}))
    await submit_and_end(api, worker)
    courier.lease()

    assert 1 == len((await waiting).json()["events"])


@pytest.mark.parametrize("query", [{"after": "soon"}, {"after": "-1."}, {"wait": 31}, {"limit": 0}])
async def test_a_listener_who_asks_for_nonsense_is_told_so(api: httpx2.AsyncClient, query: dict[str, Any]) -> None:
    assert 422 == (await api.get("/v1/webhook-events", params=query)).status_code
