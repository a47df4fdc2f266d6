"""A worker whose machine is taken away, from the cloud's notice to the jobs that run elsewhere."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.jobs import JobStatus, Reason
from headrace.presence import WorkerState
from tests.integration.engine_rig import wait_until
from tests.integration.running_worker import LIMIT_S, RunningWorker
from tests.metadata_services import AwsServer, AzureServer, GcpServer, MetadataServer, Reply

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

SERVERS = {server.watch: server for server in (AwsServer, GcpServer, AzureServer)}


@pytest.fixture
def cloud(request: pytest.FixtureRequest) -> Iterator[MetadataServer]:
    server = SERVERS[request.param]()
    yield server
    server.close()


@pytest.fixture
def worker(tmp_path: Path, cloud: MetadataServer) -> Iterator[RunningWorker]:
    where = {"preemption_watch": cloud.watch, "preemption_source": cloud.url}
    # So long a lease that no job comes back because it ran out.
    worker = RunningWorker(tmp_path, **where, shutdown_grace_s=6, lease_ms=60_000)
    worker.finish(*worker.submit("warm up"))
    yield worker
    worker.close()


def in_mid_batch(worker: RunningWorker) -> tuple[str, list[str], Path]:
    """A pass that lasts as long as its file, and jobs that wait: some in the worker, some in the queue."""
    running, file = worker.hold("hold")
    waiting = worker.submit(*(f"word {number}" for number in range(20)))
    wait_until(lambda: (said := worker.presence()) is not None and said.jobs_held > 1, limit_s=LIMIT_S)
    return running, waiting, file


@pytest.mark.parametrize("cloud", SERVERS, indirect=True)
def test_after_a_notice_the_pass_is_finished_and_the_rest_given_back_uncharged(
    worker: RunningWorker, cloud: MetadataServer
) -> None:
    running, waiting, file = in_mid_batch(worker)

    cloud.take_away(in_s=120)
    wait_until(lambda: worker.leases() == 1, limit_s=LIMIT_S)
    said = worker.presence()
    file.unlink()

    assert said is not None
    assert WorkerState.DRAINING is said.state
    assert 0 == worker.process.wait(LIMIT_S)
    assert JobStatus.SUCCEEDED is worker.status(running)
    jobs = [worker.job(member) for member in waiting]
    assert {(JobStatus.QUEUED, 0, None)} == {(job.status, job.attempts, job.worker) for job in jobs}
    given_back = sum(job.reason == Reason.PREEMPTED for job in jobs)
    assert given_back > 0
    assert given_back == int(worker.redis.client.hget(worker.store.keys.stats, "preempted") or 0)


@pytest.mark.parametrize("cloud", ["gcp"], indirect=True)
def test_a_pass_that_does_not_end_in_time_is_given_back_uncharged_and_runs_elsewhere(
    worker: RunningWorker, cloud: MetadataServer
) -> None:
    running, waiting, file = in_mid_batch(worker)

    cloud.take_away(in_s=120)

    assert 0 == worker.process.wait(LIMIT_S)
    job = worker.job(running)
    assert (JobStatus.QUEUED, 0, None, Reason.PREEMPTED) == (job.status, job.attempts, job.worker, job.reason)
    assert 0 == worker.leases()
    file.unlink()
    cloud.goes_at = None
    worker.start("--name", "w2")
    assert {JobStatus.SUCCEEDED} == set(worker.finish(running, *waiting))
    assert {1} == {worker.job(member).attempts for member in [running, *waiting]}


@pytest.mark.parametrize("cloud", ["aws"], indirect=True)
def test_a_worker_works_on_while_nobody_can_say_whether_it_may_stay(
    worker: RunningWorker, cloud: MetadataServer
) -> None:
    cloud.fault = Reply(500)
    looked = len(cloud.requests)

    wait_until(lambda: len(cloud.requests) > looked, limit_s=LIMIT_S)
    done = worker.finish(*worker.submit("one", "two"))

    assert [JobStatus.SUCCEEDED] * 2 == done
    assert None is worker.process.poll()


@pytest.mark.parametrize("cloud", ["gcp"], indirect=True)
def test_a_notice_during_a_patient_shutdown_makes_it_shorter(worker: RunningWorker, cloud: MetadataServer) -> None:
    running, _, _ = in_mid_batch(worker)
    worker.signal(signal.SIGTERM)
    wait_until(lambda: worker.leases() == 1, limit_s=LIMIT_S)

    cloud.take_away(in_s=120)

    assert 0 == worker.process.wait(LIMIT_S)
    assert Reason.PREEMPTED == worker.job(running).reason
