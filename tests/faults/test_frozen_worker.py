"""A worker that stands still for longer than its lease: others take over, and what it says afterwards is refused."""

import os
import signal

import pytest

from headrace.model_ref import ModelRef
from tests.faults.cluster import Cluster, poll
from tests.faults.ledger import Ledger

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def test_a_frozen_workers_jobs_run_elsewhere_and_end_once(cluster: Cluster, ref: ModelRef, ledger: Ledger) -> None:
    cluster.start_scheduler()
    frozen = cluster.start_worker("w0", serving=ref)
    presence = cluster.presence_of(frozen)
    assert presence is not None
    ledger.submit(range(8), sleep_ms=300)
    poll("in a pass", lambda: bool(ledger.running_on(presence.id)))
    os.kill(frozen.pid, signal.SIGSTOP)
    held = [job.member for job in ledger.running_on(presence.id)]
    cluster.start_worker("w1", serving=ref)
    ledger.wait_until_ended()
    outcome = {member: (job.worker, job.fence) for member, job in ledger.jobs().items()}

    os.kill(frozen.pid, signal.SIGCONT)
    ledger.submit(range(8, 40), sleep_ms=100)
    ledger.wait_until_ended()

    assert held
    assert outcome == {member: (ledger.jobs()[member].worker, ledger.jobs()[member].fence) for member in outcome}
    ledger.verify_all_succeeded()
    assert frozen.is_running


def test_what_an_idle_workers_claim_takes_while_it_is_frozen_runs_elsewhere(
    cluster: Cluster, ref: ModelRef, ledger: Ledger
) -> None:
    cluster.start_scheduler()
    frozen = cluster.start_worker("w0", serving=ref)
    presence = cluster.presence_of(frozen)
    assert presence is not None
    ledger.submit([0], sleep_ms=1)
    ledger.wait_until_ended()
    poll("its next claim lies ready", lambda: _has_a_claim_ready(cluster))
    os.kill(frozen.pid, signal.SIGSTOP)

    [member] = ledger.submit([1], sleep_ms=1)
    poll("the claim has taken the job", lambda: ledger.jobs()[member].worker == presence.id)
    cluster.start_worker("w1", serving=ref)
    ledger.wait_until_ended()

    os.kill(frozen.pid, signal.SIGCONT)
    ledger.verify_all_succeeded()
    assert ledger.jobs()[member].worker != presence.id


def test_results_of_a_worker_frozen_before_its_commit_are_refused_and_counted(
    cluster: Cluster, ref: ModelRef, ledger: Ledger
) -> None:
    cluster.start_scheduler()
    frozen = cluster.start_worker("w0", serving=ref)
    cluster.arm("worker.before_commit", "stop")
    ledger.submit(range(8))
    poll("frozen before its commit", lambda: cluster.fired("worker.before_commit") == frozen.pid)
    cluster.start_worker("w1", serving=ref)
    ledger.wait_until_ended()
    outcome = {member: (job.worker, job.fence) for member, job in ledger.jobs().items()}

    os.kill(frozen.pid, signal.SIGCONT)
    poll("its late results are refused and counted", lambda: ledger.stat("late_refused") >= 1)

    assert outcome == {member: (job.worker, job.fence) for member, job in ledger.jobs().items()}
    ledger.verify_all_succeeded()
    assert frozen.is_running


def _has_a_claim_ready(cluster: Cluster) -> bool:
    """Whether something lies in the server's buffer behind a blocked read."""
    clients: list[dict[str, str]] = cluster.redis.client.client_list()
    return any(client["cmd"] == "xread" and "b" in client["flags"] and client["qbuf"] != "0" for client in clients)
