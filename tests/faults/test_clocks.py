"""Clocks that are an hour wrong: what is decided about jobs goes by Redis's clock, or by one that nobody sets."""

import importlib.util
import platform
import time
from pathlib import Path

import httpx2
import pytest

from headrace.jobs import JobStatus
from headrace.model_ref import ModelRef
from scheduler.embedded_server import EmbeddedServer
from tests.faults.cluster import Cluster, poll
from tests.faults.ledger import TENANT, Ledger

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(240)]

HOUR_S = 3_600


@pytest.mark.parametrize("shift_s", [HOUR_S, -HOUR_S])
def test_processes_whose_clocks_are_wrong_keep_every_time_of_a_job(
    cluster: Cluster, ref: ModelRef, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, shift_s: int
) -> None:
    shift_clocks(monkeypatch, shift_s)
    cluster.start_api()
    cluster.start_scheduler()
    [unserved] = submit(cluster, ref, {"deadline": "PT1S"})
    poll("expired", lambda: status(cluster, unserved) is JobStatus.EXPIRED)
    shift_clocks(monkeypatch, -shift_s)
    worker = cluster.start_worker("w0", serving=ref)

    members = submit(cluster, ref, {}, {"deadline": "PT1M"}, {"start_by": "PT1M"}, {"not_before": "PT1S"})
    for member in members:
        ledger.expect(member, 7)
    ledger.wait_until_ended()

    ledger.verify_answers(members)
    assert {(JobStatus.SUCCEEDED, 1)} == {(job.status, job.attempts) for job in ledger.jobs().values()}
    assert (0, 0) == (ledger.stat("rescued"), ledger.stat("late_refused"))
    assert worker.is_running


def test_a_server_that_comes_back_with_an_older_clock_gives_no_fence_twice(
    cluster: Cluster, ref: ModelRef, ledger: Ledger
) -> None:
    cluster.start_scheduler()
    worker = cluster.start_worker("w0", serving=ref)
    ledger.submit(range(60), sleep_ms=150)
    poll("running", lambda: bool(ledger.in_state(JobStatus.SUCCEEDED)) and bool(ledger.in_state(JobStatus.RUNNING)))
    before = {member: job.fence for member, job in ledger.jobs().items()}

    cluster.server.kill()
    cluster.server = LateServer(folder=cluster.server.folder, port=cluster.server.port)
    cluster.start_server()
    seconds, _ = cluster.redis.client.time()
    behind_s = time.time() - seconds
    ledger.wait_until_ended()

    after = {member: job.fence for member, job in ledger.jobs().items()}
    assert HOUR_S - 60 < behind_s
    assert all(after[member] >= fence for member, fence in before.items())
    ledger.verify_all_succeeded()
    assert worker.is_running


class LateServer(EmbeddedServer):
    """A server whose clock is an hour behind."""

    @property
    def command(self) -> list[str]:
        faketime = [f"LD_PRELOAD={libfaketime()}", f"FAKETIME=-{HOUR_S}s", "DONT_FAKE_MONOTONIC=1"]
        return ["/usr/bin/env", *faketime, *super().command]


def libfaketime() -> Path:
    """The library, from the package that brings it along built; it is built for one kind of machine."""
    if platform.machine() != "x86_64" or platform.system() != "Linux":
        pytest.skip("not run: libfaketime is built for x86-64 Linux only")
    spec = importlib.util.find_spec("libfaketime")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"


def shift_clocks(monkeypatch: pytest.MonkeyPatch, shift_s: int) -> None:
    """Give the processes that are started from now on another wall clock."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "shifted_clock"))
    monkeypatch.setenv("SHIFTED_CLOCK_S", str(shift_s))


def submit(cluster: Cluster, ref: ModelRef, *options: dict[str, str]) -> list[str]:
    members = []
    for wanted in options:
        body = {"model": ref.name, "input": {"x": 7}, "options": wanted}
        reply = httpx2.post(f"{cluster.settings.url}/v1/jobs", json=body, timeout=10)
        assert reply.status_code == 202, reply.text
        members.append(f"{TENANT}/{reply.json()['id']}")
    return members


def status(cluster: Cluster, member: str) -> JobStatus:
    job = cluster.redis.run(cluster.store.read(member))
    assert job is not None
    return job.status
