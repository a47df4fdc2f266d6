"""The side port that serves metrics, and the list that says where."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from headrace.keys import Keys
from headrace.metric_targets import MetricTarget, MetricTargets
from headrace.metrics_port import MetricsPort
from headrace.settings import Settings
from headrace.sync_redis import SyncRedis
from scheduler.embedded_server import free_port
from tests.integration.engine_rig import wait_until

TARGET = MetricTarget("", "worker", "spot", "w1")
MakePort = Callable[..., MetricsPort]


@pytest.fixture
def make_port(redis_url: str, keys: Keys) -> Iterator[MakePort]:
    """Ports that are started, and closed at the end."""
    ports = []

    def make(first_port: int, **more: Any) -> MetricsPort:
        settings = Settings(redis_url=redis_url, cell=keys.cell, metrics_port=first_port, **more)
        port = MetricsPort(settings=settings, target=TARGET, render=lambda accept: ("text/plain", accept.encode()))
        port.start()
        ports.append(port)
        return port

    yield make
    for port in ports:
        port.close()


def fetch(address: str, path: str = "/metrics", accept: str = "text/plain") -> httpx2.Response:
    return httpx2.get(f"http://{address}{path}", headers={"Accept": accept}, timeout=10)


def test_it_serves_the_page_in_the_form_that_is_asked_for(make_port: MakePort) -> None:
    port = make_port(free_port())

    assert fetch(port.target.address, accept="application/openmetrics-text").text == "application/openmetrics-text"


def test_it_serves_nothing_else(make_port: MakePort) -> None:
    port = make_port(free_port())

    assert fetch(port.target.address, "/").status_code == 404


def test_processes_on_one_host_take_one_port_after_the_other(make_port: MakePort) -> None:
    first = free_port()

    addresses = {make_port(first).target.address for _ in range(3)}

    assert len(addresses) == 3
    assert all(fetch(address).text == "text/plain" for address in addresses)


def test_port_0_means_none(make_port: MakePort, connection: SyncRedis, keys: Keys) -> None:
    port = make_port(0)

    assert port.target.address == ""
    assert connection.run(MetricTargets(keys).listed()) == []


def test_without_a_free_port_the_process_goes_on_and_says_so(
    make_port: MakePort, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)

    port = make_port(65_535, metrics_host="192.0.2.1")

    assert port.target.address == ""
    assert "no metrics: no port from 65535 to 65535" in caplog.text


def test_each_says_where_it_is_until_it_ends(make_port: MakePort, connection: SyncRedis, keys: Keys) -> None:
    port, listed = make_port(free_port()), MetricTargets(keys).listed
    wait_until(lambda: connection.run(listed()) == [port.target])

    port.close()

    assert connection.run(listed()) == []


def test_those_that_fell_silent_and_what_is_none_of_ours_are_not_listed(connection: SyncRedis, keys: Keys) -> None:
    targets = MetricTargets(keys)
    connection.run_all(targets.announce(TARGET))
    connection.client.zadd(keys.targets, {"garbage": 9e12, "[1, 2]": 9e12, '["gone:1", "worker", "", ""]': 1})

    assert connection.run(targets.listed()) == [TARGET]
