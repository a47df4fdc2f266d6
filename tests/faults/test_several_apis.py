"""Two API processes on one port, one killed while many wait."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from bench.service import Service
from headrace.client import Client
from headrace.model_ref import ModelRef
from tests.faults.cluster import Cluster, poll
from tests.faults.ledger import TENANT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

CLIENTS = 64
#: As the kernel writes it in /proc/net/tcp.
LISTENING = "0A"


@pytest.fixture
def apis(cluster: Cluster) -> list[Service]:
    """Two processes on one port, both ready."""
    cluster.settings = cluster.settings.model_copy(update={"api_processes": 2})
    both = [cluster.start_api(), cluster.start_api()]
    poll("both listening", lambda: listeners_on(cluster.settings.api_port) == 2)
    return both


def test_every_wait_ends_right_when_one_of_two_apis_is_killed_under_it(
    cluster: Cluster, ref: ModelRef, apis: list[Service]
) -> None:
    """64 clients wait for jobs that nobody runs yet; the process with more of them dies; then the jobs are run."""
    begun = threading.Barrier(CLIENTS + 1)

    def ask(x: int) -> object:
        with Client(cluster.settings.url) as client:
            begun.wait()
            return client.run(ref.name, {"x": x}, timeout_s=120)

    with ThreadPoolExecutor(CLIENTS) as pool:
        waits: list[Future[object]] = [pool.submit(ask, x) for x in range(CLIENTS)]
        begun.wait()
        index = cluster.store.keys.index(TENANT)
        poll("all accepted", lambda: cluster.redis.client.zcard(index) == CLIENTS)
        shares = [connections_of(api) for api in apis]
        apis[shares.index(max(shares))].kill()
        cluster.start_worker("w0", serving=ref)
        results = [wait.result(timeout=150) for wait in waits]

    assert results == [x * x + 1 for x in range(CLIENTS)]
    assert cluster.redis.client.zcard(index) == CLIENTS
    assert min(shares) > 10


def connections_of(api: Service) -> int:
    """Sockets that the process has open, its listening one and those to Redis among them."""
    links = (path.readlink() for path in Path(f"/proc/{api.pid}/fd").iterdir())
    return sum(str(link).startswith("socket:") for link in links)


def listeners_on(port: int) -> int:
    """How many sockets listen at a port of loopback."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1] == f"0100007F:{port:04X}" and row[3] == LISTENING for row in rows)
