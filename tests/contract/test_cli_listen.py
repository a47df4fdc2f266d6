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

from headrace.keys import Keys
from headrace.settings import Settings, as_environment
from headrace.sync_redis import SyncRedis
from tests.integration.script_cell import Cell
from workers.webhooks.courier import Courier

pytestmark = pytest.mark.slow


@pytest.fixture
def settings(redis_url: str, keys: Keys) -> Settings:
    return Settings(
        redis_url=redis_url, cell=keys.cell, webhook_allow_networks=(IPv4Network("127.0.0.0/8"),), metrics_port=0
    )


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
