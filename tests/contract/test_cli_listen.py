"""`headrace webhooks listen`: events of a real courier are shown, and whether their signatures are right."""

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from ipaddress import IPv4Network

import pytest
from standardwebhooks import Webhook
from typer.testing import CliRunner

from headrace.cli import app
from headrace.client import Client
from headrace.environments import as_environment
from headrace.errors import InvalidInput
from headrace.keys import Keys
from headrace.settings import Settings
from headrace.sync_redis import SyncRedis
from scheduler.embedded_server import free_port
from tests.integration.receivers import Receiver
from tests.integration.script_cell import Cell
from workers.webhooks.courier import Courier

pytestmark = pytest.mark.slow


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With this machine allowed."""
    allowed = (IPv4Network("127.0.0.0/8"),)
    return settings.model_copy(update={"webhook_allow_networks": allowed, "metrics_port": 0})


@pytest.fixture
def listen(settings: Settings) -> Iterator[subprocess.Popen[str]]:
    """A listener that ends after two events."""
    command = [sys.executable, "-m", "headrace.cli", "webhooks", "listen", "--port", "0", "--count", "2", "--json"]
    process = subprocess.Popen(
        command, env=as_environment(settings), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.communicate()


def test_an_event_is_shown_with_its_signature_and_a_forged_one_is_refused(
    settings: Settings, connection: SyncRedis, keys: Keys, listen: subprocess.Popen[str]
) -> None:
    assert listen.stderr is not None
    url = re.findall(r"http://\S+", listen.stderr.readline())[0]
    courier, cell = Courier(settings=settings), Cell(connection=connection, keys=keys)
    courier.start()

    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(url, data=b"forged", timeout=10)  # noqa: S310 - our own process
    cell.submit("told", webhook_url=url)
    cell.commit(cell.take_and_start(jobs=1))
    shown, _ = listen.communicate(timeout=30)
    courier.stop()

    forged, event = map(json.loads, shown.splitlines())
    assert (False, "it has no header webhook-id", None) == (forged["verified"], forged["problem"], forged["event"])
    assert (True, None, "told-1", "job.succeeded") == (
        event["verified"],
        event["problem"],
        event["id"],
        event["event"]["type"],
    )
    assert listen.returncode == 0


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.mark.usefixtures("serving")
def test_a_machine_that_only_reaches_the_api_is_brought_each_event_and_passes_it_on(
    settings: Settings, live_url: str, receiver: Receiver
) -> None:
    options = ["--url", live_url, "--forward-to", receiver.url, "--count", "1", "--json"]
    command = [sys.executable, "-m", "headrace.cli", "webhooks", "listen", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    secret = re.findall(r"whsec_\S+", process.stderr.readline())[0]
    courier = Courier(settings=settings)
    courier.start()

    with Client(live_url) as client:
        job = client.submit("greeter", {"text": "hi"}, webhook=f"http://127.0.0.1:{free_port()}/nobody-listens")
    shown, said = process.communicate(timeout=60)
    courier.stop()

    event = json.loads(shown)
    assert (0, "") == (process.returncode, said)
    assert (f"{job.id}-1", True, "http_204") == (event["id"], event["verified"], event["forwarded"])
    [heard] = receiver.heard
    assert event["event"] == Webhook(secret).verify(heard.body, dict(heard.headers))


def test_a_receiver_asks_no_api() -> None:
    refused = CliRunner().invoke(app, ["webhooks", "listen", "--port", "0", "--forward-to", "http://localhost:1/"])

    assert isinstance(refused.exception, InvalidInput)
