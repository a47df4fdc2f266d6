"""A courier among hostile receivers: each is handled as documented, none leads it astray, a healthy one is told all."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bench.hostile import RETRY_AFTER_S, Hostile, hostile, untrusted_tls
from bench.listeners import Trap, listening, saying
from headrace.keys import Keys
from headrace.settings import Settings
from headrace.sync_redis import SyncRedis
from headrace.webhooks import Delivery, DeliveryState, delivery_id_of
from scheduler.embedded_server import EmbeddedServer
from tests.integration.receivers import Receiver
from tests.integration.script_cell import TTL_S, Cell
from workers.webhooks.courier import Courier

pytestmark = pytest.mark.slow

#: Where receivers are; the rest of this machine is forbidden, and a trap listens there.
ALLOWED, FORBIDDEN = "127.0.0.2", "127.0.0.1"
FLIPPING = "flips.example.com"
EACH, HEALTHY = 2, 40
NO_CONTENT = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"


class Found(NamedTuple):
    """What came of it all."""

    expected: dict[str, Hostile]
    deliveries: dict[str, list[Delivery]]
    trapped: int
    heard: Counter[str]
    #: How often each receiver was connected to.
    connections: dict[str, int]
    now_ms: int


@pytest.fixture(scope="module")
def found(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Found]:
    """One run, which all tests look at."""
    connection = SyncRedis(url=server.url)
    cell = Cell(connection=connection, keys=Keys(cell="hostile"))
    yield asyncio.run(run(cell, server.url, tmp_path_factory.mktemp("tls")))
    connection.close()


async def run(cell: Cell, redis_url: str, folder: Path) -> Found:
    async with AsyncExitStack() as stack:
        trap = await stack.enter_async_context(listening(saying(NO_CONTENT), host=FORBIDDEN))
        expected, tls = hostile(trap.port), untrusted_tls(folder)
        receivers: dict[str, Trap] = {}
        for name, each in expected.items():
            listener = listening(each.behaviour, host=ALLOWED, tls=tls if each.speaks_tls else None)
            receivers[name] = await stack.enter_async_context(listener)
        healthy = Receiver(host=ALLOWED)
        stack.callback(healthy.close)
        courier = Courier(settings=settings_of(redis_url), resolver=flipping())
        for name, receiver in receivers.items():
            end(cell, ids_of(name), url_of(name, receiver, expected[name]))
        end(cell, [f"healthy{n}" for n in range(HEALTHY)], healthy.url)
        courier.start()
        stack.callback(courier.stop)
        await until(lambda: has_all(cell, expected))
        deliveries = {name: read(cell, ids_of(name)) for name in expected}
        heard = Counter(heard.headers["webhook-id"] for heard in healthy.heard)
        connections = {name: receiver.connections for name, receiver in receivers.items()}
        return Found(expected, deliveries, trap.connections, heard, connections, cell.now_ms())


def settings_of(url: str) -> Settings:
    return Settings.model_validate(
        {
            "redis_url": url,
            "cell": "hostile",
            "webhook_timeout_s": 1.0,
            "webhook_allow_networks": (IPv4Network(f"{ALLOWED}/32"),),
            "result_ttl_s": TTL_S,
        }
    )


def flipping() -> Callable[[str, int], Any]:
    """A name that leads to a receiver when it is asked for first, and then to the trap."""
    meanings = iter([ALLOWED])

    async def resolve(host: str, _: int) -> list[str]:
        return [next(meanings, FORBIDDEN)] if host == FLIPPING else [host]

    return resolve


def ids_of(name: str) -> list[str]:
    return [f"{name.replace(' ', '-')}-{n}" for n in range(EACH)]


def url_of(name: str, receiver: Trap, each: Hostile) -> str:
    host = FLIPPING if name == "DNS flip" else ALLOWED
    return f"{'https' if each.speaks_tls else 'http'}://{host}:{receiver.port}/hook"


def end(cell: Cell, job_ids: list[str], url: str) -> None:
    for job_id in job_ids:
        cell.submit(job_id, webhook_url=url)
    cell.commit(cell.take_and_start(jobs=len(job_ids)))


def read(cell: Cell, job_ids: list[str]) -> list[Delivery]:
    return cell.run(cell.deliveries.read([delivery_id_of(f"default/{job_id}") for job_id in job_ids]))


def has_all(cell: Cell, expected: dict[str, Hostile]) -> bool:
    """Tell whether every delivery was attempted, and the healthy receiver's are over."""
    hostile_ids = [job_id for name in expected for job_id in ids_of(name)]
    healthy = read(cell, [f"healthy{n}" for n in range(HEALTHY)])
    is_told = all(delivery.state is DeliveryState.DELIVERED for delivery in healthy)
    return is_told and all(delivery.outcome for delivery in read(cell, hostile_ids))


async def until(is_so: Callable[[], bool], limit_s: float = 60.0) -> None:
    async with asyncio.timeout(limit_s):
        while not is_so():  # noqa: ASYNC110 - Redis calls nobody
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("name", hostile(0))
def test_a_hostile_receiver_is_handled_as_documented(found: Found, name: str) -> None:
    expected, deliveries = found.expected[name], found.deliveries[name]

    outcomes = {delivery.outcome for delivery in deliveries}
    assert found.connections[name] >= 1 or expected.speaks_tls  # a handshake that fails is no connection yet
    if name == "DNS flip":  # the first time its name led where it may
        assert {"http_204", "address_refused"} == outcomes
        return
    # A receiver that asked for a pause is left alone by what comes after.
    assert outcomes - {"receiver_rests"} == {expected.outcome}
    assert {expected.state} == {delivery.state for delivery in deliveries}


def test_no_connection_is_made_to_a_forbidden_address(found: Found) -> None:
    assert 0 == found.trapped


def test_a_healthy_receiver_among_them_is_told_everything_once(found: Found) -> None:
    assert Counter(f"healthy{n}-1" for n in range(HEALTHY)) == found.heard


def test_who_asks_for_a_pause_gets_it(found: Found) -> None:
    due = [delivery.due_ms for delivery in found.deliveries["429"]]

    assert all(due_ms and due_ms > found.now_ms + 1000 * (RETRY_AFTER_S - 60) for due_ms in due)


def test_what_failed_is_tried_again_but_not_before_its_time(found: Found) -> None:
    failed = [delivery for name in ("500", "reset", "close early") for delivery in found.deliveries[name]]

    pauses_ms = [(delivery.due_ms or 0) - (delivery.attempted_ms or 0) for delivery in failed]
    assert min(pauses_ms) >= 4_000
    assert max(pauses_ms) < 60_000
