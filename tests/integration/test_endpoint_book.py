"""What a courier notes of a registered receiver overrules nobody, and decides over no attempt."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from bench.listeners import listening, saying
from headrace.addresses import LOOPBACK, Egress
from headrace.delivery_store import DeliveryStore
from headrace.endpoint_store import EndpointStore
from headrace.endpoints import MARK, Endpoint, Event, Health, Include, Stop
from headrace.keys import Keys
from headrace.mux import Mux
from headrace.redis_op import RedisOp
from headrace.secret_box import OpenBox
from headrace.store import JobStore
from headrace.webhooks import new_secret
from tests.unit.test_webhook_delivery import due
from workers.webhooks.endpoint_book import EndpointBook
from workers.webhooks.messenger import Messenger
from workers.webhooks.schedule import Answer
from workers.webhooks.teller import Teller

TENANT, ID = "default", "ep_1"
OK, FAILED, GONE = 200, 500, 410


@pytest.fixture
async def mux(redis_url: str) -> AsyncIterator[Mux]:
    mux = Mux(url=redis_url)
    await mux.start()
    yield mux
    await mux.close()


@pytest.fixture
def endpoints(keys: Keys) -> EndpointStore:
    return EndpointStore(keys)


@pytest.fixture
def book(mux: Mux, endpoints: EndpointStore) -> EndpointBook:
    return EndpointBook(mux=mux, store=endpoints, box=OpenBox())


def endpoint(url: str = "https://example.com/") -> Endpoint:
    return Endpoint(id=ID, url=url, events=frozenset(Event), include=Include.INLINE, secret=new_secret(), created_ms=1)


@pytest.mark.parametrize("status", [OK, FAILED])
async def test_one_that_its_owner_stopped_during_an_attempt_stays_stopped(
    mux: Mux, endpoints: EndpointStore, book: EndpointBook, status: int
) -> None:
    await mux.run(endpoints.put(TENANT, endpoint()))
    await mux.run(endpoints.note_health(TENANT, ID, Health(failing_since_ms=1 if status == OK else 0)))
    await book.find(TENANT, ID)

    await mux.run(endpoints.note_health(TENANT, ID, Health(stopped=Stop.DISABLED)))
    await book.note(TENANT, ID, status)

    assert Health(stopped=Stop.DISABLED) == await mux.run(endpoints.health(TENANT, ID))
    assert Stop.DISABLED == (await book.find(TENANT, ID)).health.stopped


async def test_of_one_that_was_deleted_during_an_attempt_nothing_is_noted(
    mux: Mux, endpoints: EndpointStore, book: EndpointBook
) -> None:
    await mux.run(endpoints.put(TENANT, endpoint()))
    await book.find(TENANT, ID)

    await mux.run(endpoints.remove(TENANT, ID))
    await book.note(TENANT, ID, FAILED)

    assert Health() == await mux.run(endpoints.health(TENANT, ID))
    assert (await book.find(TENANT, ID)).endpoint is None


async def test_what_another_courier_noted_meanwhile_is_built_on(
    mux: Mux, endpoints: EndpointStore, book: EndpointBook
) -> None:
    await mux.run(endpoints.put(TENANT, endpoint()))
    await book.find(TENANT, ID)
    since_ms = time.time_ns() // 1_000_000 - 5_000

    await mux.run(endpoints.note_health(TENANT, ID, Health(failing_since_ms=since_ms)))
    await book.note(TENANT, ID, FAILED)

    assert Health(failing_since_ms=since_ms) == await mux.run(endpoints.health(TENANT, ID))


async def test_of_two_couriers_that_note_at_once_neither_loses_the_others_note(
    mux: Mux, endpoints: EndpointStore, book: EndpointBook
) -> None:
    await mux.run(endpoints.put(TENANT, endpoint()))
    other = EndpointBook(mux=mux, store=endpoints, box=OpenBox())
    for each in (book, other):
        await each.find(TENANT, ID)

    seen = await mux.run(endpoints.noted(TENANT, ID))
    await other.note(TENANT, ID, GONE)

    assert not await mux.run(endpoints.note_after(TENANT, ID, seen, Health(failing_since_ms=1)))
    await book.note(TENANT, ID, FAILED)
    assert Stop.GONE == (await mux.run(endpoints.health(TENANT, ID))).stopped


async def test_an_endpoint_that_is_stopped_is_counted_once(
    mux: Mux, endpoints: EndpointStore, book: EndpointBook, keys: Keys
) -> None:
    await mux.run(endpoints.put(TENANT, endpoint()))
    await book.find(TENANT, ID)

    for _ in range(2):
        await book.note(TENANT, ID, GONE)

    assert b"1" == await mux.run(RedisOp(bytes, ("HGET", keys.stats, "endpoints_stopped")))


async def test_an_event_that_was_taken_counts_as_told_though_nothing_can_be_noted(
    mux: Mux, endpoints: EndpointStore, book: EndpointBook
) -> None:
    messenger = Messenger(egress=Egress(networks=LOOPBACK), timeout_s=5.0, connections=1)
    jobs, deliveries = JobStore(endpoints.keys), DeliveryStore(endpoints.keys)
    teller = Teller(mux=mux, jobs=jobs, deliveries=deliveries, messenger=messenger, book=book, box=OpenBox())
    take = saying(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    async def take_when_redis_is_gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await mux.close()
        await take(reader, writer)

    async with listening(take_when_redis_is_gone) as receiver:
        await mux.run(endpoints.put(TENANT, endpoint(receiver.url)))
        await mux.run(endpoints.note_health(TENANT, ID, Health(failing_since_ms=1)))
        answer = await teller.tell(due()._replace(url=MARK + ID))
    await messenger.close()

    assert Answer("http_200", OK) == answer
