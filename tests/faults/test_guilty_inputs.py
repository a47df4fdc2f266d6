"""One input of many brings the model's process down: only that job fails."""

import orjson
import pytest

from headrace.jobs import Cause, JobStatus
from headrace.model_ref import ModelRef
from tests.faults.cluster import Cluster, mapped_files
from tests.faults.ledger import Ledger

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.mark.parametrize(
    ("act", "cause"), [("exit", Cause.WORKER_LOST), ("segfault", Cause.WORKER_LOST), ("hang", Cause.TIMEOUT)]
)
def test_only_the_guilty_job_fails(cluster: Cluster, ref: ModelRef, ledger: Ledger, act: str, cause: Cause) -> None:
    worker = cluster.start_worker("w0", serving=ref)

    before = ledger.submit(range(20), sleep_ms=20)
    (guilty,) = ledger.submit([99], act=act)
    after = ledger.submit(range(20, 40), sleep_ms=20)
    ledger.wait_until_ended()

    jobs = ledger.jobs()
    innocent = [jobs[member] for member in (*before, *after)]
    assert {(JobStatus.SUCCEEDED, 1)} == {(job.status, job.attempts) for job in innocent}
    ledger.verify_answers([*before, *after])
    assert (JobStatus.FAILED, cause) == (jobs[guilty].status, jobs[guilty].cause)
    error = orjson.loads(cluster.redis.run(cluster.store.output(guilty)) or b"null")
    assert cause == error["cause"]
    ledger.verify_ended_once()
    assert worker.is_running


def test_the_process_of_a_model_without_torch_imports_no_torch(cluster: Cluster, ref: ModelRef) -> None:
    worker = cluster.start_worker("w0", serving=ref)

    mapped = mapped_files(cluster.child_pid(worker))

    assert [name for name in mapped if "libtorch" in name] == []
