"""Kill -9 of workers, their children, the API and the scheduler: nothing accepted is lost, nothing commits twice."""

import os
import signal
import time

import httpx2
import pytest

from bench.service import Service
from headrace.model_ref import ModelRef
from tests.faults.cluster import LEASE_MS, REAP_INTERVAL_MS, Cluster, is_alive, poll
from tests.faults.ledger import TENANT, Ledger

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

Capsys = pytest.CaptureFixture[str]

KILLS = 5
SLEEP_MS = 300
#: Shorter, because the jobs of a child's last batch run one by one afterwards.
CHILD_SLEEP_MS = 150
#: What two busy cores may add to the promise.
ALLOWANCE_S = 0.7
#: What a frozen process had sent before may still be on its way to the records.
SETTLE_S = 0.05


def test_a_worker_killed_mid_batch_loses_no_job(
    cluster: Cluster, ref: ModelRef, ledger: Ledger, capsys: Capsys
) -> None:
    cluster.start_scheduler()
    standby = cluster.start_worker("w0", serving=ref)
    recoveries_s = []

    for number in range(1, KILLS + 1):
        victim = cluster.start_worker(f"w{number}", serving=ref)
        child = cluster.child_pid(victim)
        held = _kill_mid_batch(cluster, ledger, victim, pid=victim.pid)
        recoveries_s.append(ledger.wait_until_ended(held))
        ledger.wait_until_ended()

        ledger.verify_all_succeeded()
        jobs = ledger.jobs()
        assert {2} == {jobs[member].attempts for member in held}
        assert {1} == {job.attempts for member, job in jobs.items() if member not in held}
        assert not is_alive(child)
        assert standby.is_running
        ledger.forget()

    _verify_recoveries(capsys, "worker", recoveries_s, batch_ms=SLEEP_MS)
    assert ledger.stat("late_refused") == 0


def test_a_child_killed_mid_batch_loses_no_job(cluster: Cluster, ref: ModelRef, ledger: Ledger, capsys: Capsys) -> None:
    cluster.start_scheduler()
    workers = [cluster.start_worker(name, serving=ref) for name in ("w0", "w1")]
    recoveries_s = []

    for number in range(KILLS):
        victim = workers[number % 2]
        child = cluster.child_pid(victim)
        held = _kill_mid_batch(cluster, ledger, victim, pid=child, sleep_ms=CHILD_SLEEP_MS)
        recoveries_s.append(ledger.wait_until_ended(held))
        ledger.wait_until_ended()

        ledger.verify_all_succeeded()
        assert {1} == {job.attempts for job in ledger.jobs().values()}
        _wait_for_another_child(cluster, victim, child)
        ledger.forget()

    _verify_recoveries(capsys, "child", recoveries_s, batch_ms=CHILD_SLEEP_MS)
    assert all(worker.is_running for worker in workers)


def test_a_job_outlives_the_api_that_accepted_it(cluster: Cluster, ref: ModelRef, ledger: Ledger) -> None:
    api = cluster.start_api()
    body = {"model": ref.name, "input": {"x": 7}}

    answer = httpx2.post(f"{cluster.settings.url}/v1/jobs", json=body, timeout=10)
    api.kill()

    assert answer.status_code == 202
    job_id = answer.json()["id"]
    ledger.expect(f"{TENANT}/{job_id}", 7)
    cluster.start_worker("w0", serving=ref)
    ledger.wait_until_ended()
    ledger.verify_all_succeeded()
    cluster.start_api()
    result = httpx2.get(f"{cluster.settings.url}/v1/jobs/{job_id}/result", timeout=10)
    assert (result.status_code, result.json()) == (200, 50)


def test_a_killed_scheduler_harms_no_worker_and_its_successor_takes_over(
    cluster: Cluster, ref: ModelRef, ledger: Ledger
) -> None:
    first = cluster.start_scheduler()
    workers = [cluster.start_worker(name, serving=ref) for name in ("w0", "w1")]

    ledger.submit(range(40), sleep_ms=100)
    first.kill()
    ledger.wait_until_ended()

    ledger.verify_all_succeeded()
    assert all(worker.is_running for worker in workers)
    poll("lead free", lambda: not cluster.redis.client.exists(cluster.store.keys.leader))
    cluster.start_scheduler()
    ledger.forget()
    held = _kill_mid_batch(cluster, ledger, workers[1], pid=workers[1].pid)
    ledger.wait_until_ended(held)
    ledger.wait_until_ended()
    ledger.verify_all_succeeded()


def _kill_mid_batch(
    cluster: Cluster, ledger: Ledger, victim: Service, *, pid: int, sleep_ms: int = SLEEP_MS
) -> list[str]:
    """Give both workers work, then kill `pid` while the victim's forward pass runs; answers the jobs of that pass."""
    presence = cluster.presence_of(victim)
    assert presence is not None
    ledger.submit(range(24), sleep_ms=sleep_ms)
    poll("frozen in a pass", lambda: _froze_in_a_pass(ledger, presence.id, pid))
    held = [job.member for job in ledger.running_on(presence.id)]
    os.kill(pid, signal.SIGKILL)
    assert held
    return held


def _froze_in_a_pass(ledger: Ledger, worker_id: str, pid: int) -> bool:
    """Freeze `pid` if its worker is in a pass: between a look and a kill on a busy machine the pass could end."""
    if not ledger.running_on(worker_id):
        return False
    os.kill(pid, signal.SIGSTOP)
    time.sleep(SETTLE_S)
    if ledger.running_on(worker_id):
        return True
    os.kill(pid, signal.SIGCONT)
    return False


def _wait_for_another_child(cluster: Cluster, worker: Service, former: int) -> None:
    def is_there() -> bool:
        presence = cluster.presence_of(worker)
        return presence is not None and presence.child_pid not in {None, former}

    poll("child replaced", is_there)


def _verify_recoveries(capsys: Capsys, what: str, recoveries_s: list[float], *, batch_ms: int) -> None:
    """Print how long it took, and hold it against the promise."""
    with capsys.disabled():
        print(f"\nrecovery after kill -9 of a {what}, s: {[round(s, 2) for s in recoveries_s]}")  # noqa: T201 - a figure
    limit_s = (LEASE_MS + REAP_INTERVAL_MS + batch_ms) / 1000
    assert max(recoveries_s) < limit_s + ALLOWANCE_S
