"""Kill -9 and restart of the Redis server: nothing accepted is lost, and every process finds its way back by itself."""

import httpx2
import pytest

from bench.service import Service
from headrace.jobs import JobStatus
from headrace.model_ref import ModelRef
from headrace.queue_store import QueueStore
from tests.faults.cluster import Cluster, is_ready, poll
from tests.faults.ledger import TENANT, Ledger

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

#: Long enough that processes try to reconnect in vain a few times.
DOWN_S = 1.0


@pytest.fixture
def services(cluster: Cluster, ref: ModelRef) -> list[Service]:
    """One of each."""
    return [cluster.start_api(), cluster.start_scheduler(), cluster.start_worker("w0", serving=ref)]


def test_a_redis_restart_mid_run_loses_nothing(cluster: Cluster, ledger: Ledger, services: list[Service]) -> None:
    ledger.submit(range(60), sleep_ms=150)
    poll("running", lambda: bool(ledger.in_state(JobStatus.SUCCEEDED)) and bool(ledger.in_state(JobStatus.RUNNING)))

    cluster.restart_server(down_s=DOWN_S)
    ledger.wait_until_ended()

    ledger.verify_all_succeeded()
    _verify_everything_serves(cluster, ledger, services)


def test_a_redis_restart_while_idle_is_recovered_from(
    cluster: Cluster, ref: ModelRef, ledger: Ledger, services: list[Service]
) -> None:
    ledger.submit(range(8))
    ledger.wait_until_ended()
    queues = QueueStore(cluster.store.keys)
    paused = cluster.redis.run(queues.pause(f"{ref}:spot", reason="bad images"))

    cluster.restart_server(down_s=DOWN_S)

    poll("worker speaks", lambda: any(is_ready(presence, ref) for presence in cluster.presences()))
    ledger.submit(range(8, 48))
    ledger.wait_until_ended()
    ledger.verify_all_succeeded()
    assert {f"{ref}:spot": paused} == cluster.redis.run(queues.paused())
    _verify_everything_serves(cluster, ledger, services)


def _verify_everything_serves(cluster: Cluster, ledger: Ledger, services: list[Service]) -> None:
    """The very processes that ran before take, run and answer a new job."""
    poll("api ready", lambda: httpx2.get(f"{cluster.settings.url}/readyz", timeout=5).is_success)
    body = {"model": "exact", "input": {"x": 9}}
    answer = httpx2.post(f"{cluster.settings.url}/v1/jobs", json=body, headers={"Prefer": "wait=20"}, timeout=30)

    assert answer.status_code == 200
    ledger.expect(f"{TENANT}/{answer.json()['id']}", 9)
    ledger.verify_all_succeeded()
    poll("scheduler leads", lambda: bool(cluster.redis.client.exists(cluster.store.keys.leader)))
    assert all(service.is_running for service in services)
