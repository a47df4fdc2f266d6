"""SIGTERM of a worker mid-batch: it finishes what runs, gives back what does not, and charges nobody for it."""

import pytest

from headrace.jobs import JobStatus
from headrace.model_ref import ModelRef
from tests.faults.cluster import Cluster, is_alive, poll
from tests.faults.ledger import Ledger

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def test_a_terminated_worker_finishes_its_batch_and_releases_the_rest(
    cluster: Cluster, ref: ModelRef, ledger: Ledger
) -> None:
    worker = cluster.start_worker("w0", serving=ref)
    child = cluster.child_pid(worker)
    ledger.submit(range(60), sleep_ms=500)
    poll("in a pass", lambda: bool(ledger.in_state(JobStatus.RUNNING)))

    exit_code = worker.terminate(limit_s=20)

    jobs = ledger.jobs().values()
    done = [job.member for job in jobs if job.status is JobStatus.SUCCEEDED]
    waiting = [job for job in jobs if job.status is JobStatus.QUEUED]
    assert exit_code == 0
    assert len(jobs) == len(done) + len(waiting)
    assert done
    assert {0} == {job.attempts for job in waiting}
    assert ledger.leases() == []
    assert not is_alive(child)
    ledger.verify_answers(done)

    cluster.start_worker("w1", serving=ref)
    ledger.wait_until_ended()
    ledger.verify_all_succeeded()
    assert {1} == {job.attempts for job in ledger.jobs().values()}
