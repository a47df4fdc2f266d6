"""What happens to jobs without anybody asking, and how the loop that does it lives through outages."""

import logging
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headrace.environments import as_environment
from headrace.groups import group_of
from headrace.ids import new_job_id
from headrace.jobs import Job, JobStatus, Lease, NewJob
from headrace.keys import Keys
from headrace.model_ref import ModelRef
from headrace.settings import Settings
from headrace.store import JobStore
from headrace.store_work import ClaimSize
from headrace.sync_redis import SyncRedis
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass
from scheduler.embedded_server import EmbeddedServer, free_port
from scheduler.housekeeping import BATCH, SWEEP_REST_S, Housekeeper, Sweeper
from scheduler.loop import Scheduler
from scheduler.processes import python_module
from scheduler.stop_signal import StopSignal

REF = ModelRef("scorer", 1)
GROUP = group_of(REF, Tier.STANDARD)


@pytest.fixture
def housekeeper(store: JobStore, connection: SyncRedis) -> Housekeeper:
    return Housekeeper(store=store, connection=connection, result_ttl_s=60)


@pytest.fixture
def sweeper(store: JobStore, connection: SyncRedis) -> Sweeper:
    return Sweeper(store=store, connection=connection, result_ttl_s=60)


def new_job(deadline_ms: int, not_before_ms: int) -> NewJob:
    return NewJob(
        id=new_job_id(cell="c1", tenant="default", key=b"k" * 32),
        tenant="default",
        ref=REF,
        tier=Tier.STANDARD,
        input=b"{}",
        deadline_ms=deadline_ms,
        not_before_ms=not_before_ms,
    )


def submit(
    connection: SyncRedis,
    store: JobStore,
    count: int = 1,
    *,
    deadline_ms: int = 0,
    not_before_ms: int = 0,
) -> list[str]:
    jobs = [new_job(deadline_ms, not_before_ms) for _ in range(count)]
    connection.run_all([store.submit(job, cap=10_000) for job in jobs])
    return [job.member for job in jobs]


def claim(connection: SyncRedis, store: JobStore, count: int, *, lease_ms: int) -> list[Lease]:
    op = store.claim(worker="w", groups=[GROUP], size=ClaimSize(count, count, 1 << 20), lease_ms=lease_ms)
    return [job.lease for job in connection.run(op).jobs]


def read(connection: SyncRedis, store: JobStore, member: str) -> Job:
    job = connection.run(store.read(member))
    assert job is not None
    return job


def wait_until(is_so: Callable[[], bool], limit_s: float = 20.0) -> None:
    until = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.01)


# --- acts ----------------------------------------------------------------------------------------------------


def test_jobs_of_a_silent_worker_are_queued_again_and_it_is_told(
    connection: SyncRedis,
    store: JobStore,
    housekeeper: Housekeeper,
    caplog: pytest.LogCaptureFixture,
) -> None:
    [member] = submit(connection, store)
    [lease] = claim(connection, store, 1, lease_ms=1)
    wait_until(lambda: housekeeper.reap() == 1)

    job = read(connection, store, member)

    assert job.status is JobStatus.QUEUED
    assert job.fence > lease.fence
    assert "1 jobs of silent workers are queued again" in caplog.text


def test_a_live_lease_is_left_alone(connection: SyncRedis, store: JobStore, housekeeper: Housekeeper) -> None:
    submit(connection, store)
    claim(connection, store, 1, lease_ms=60_000)

    assert housekeeper.reap() == 0


def test_more_jobs_than_one_call_takes_are_rescued_in_one_round(
    connection: SyncRedis, store: JobStore, housekeeper: Housekeeper
) -> None:
    count = 2 * BATCH + 10
    submit(connection, store, count)
    claim(connection, store, count, lease_ms=1)
    time.sleep(0.01)

    rescued = housekeeper.reap()

    assert count == rescued


def test_jobs_past_their_deadline_expire(connection: SyncRedis, store: JobStore, housekeeper: Housekeeper) -> None:
    [member] = submit(connection, store, deadline_ms=1)

    expired = housekeeper.expire()

    assert expired == 1
    assert read(connection, store, member).status is JobStatus.EXPIRED


def test_delayed_jobs_become_claimable_when_they_are_due(
    connection: SyncRedis, store: JobStore, housekeeper: Housekeeper
) -> None:
    [member] = submit(connection, store, not_before_ms=time.time_ns() // 1_000_000 + 60_000)
    early = housekeeper.promote(), claim(connection, store, 1, lease_ms=60_000)
    connection.client.zadd(store.keys.delayed, {member: 1})

    promoted = housekeeper.promote()

    assert (0, []) == early
    assert (1, 1) == (promoted, len(claim(connection, store, 1, lease_ms=60_000)))


def test_a_job_that_no_set_leads_to_is_put_back(connection: SyncRedis, store: JobStore, sweeper: Sweeper) -> None:
    submit(connection, store)
    connection.client.delete(store.keys.ready(GROUP, "default"))

    sweeper.step(now=0.0)

    assert len(claim(connection, store, 1, lease_ms=60_000)) == 1


def test_the_sweeper_rests_after_each_round(connection: SyncRedis, store: JobStore, sweeper: Sweeper) -> None:
    submit(connection, store)
    sweeper.step(now=0.0)
    connection.client.delete(store.keys.ready(GROUP, "default"))

    sweeper.step(now=SWEEP_REST_S - 1)
    during = claim(connection, store, 1, lease_ms=60_000)
    sweeper.step(now=SWEEP_REST_S)

    assert during == []
    assert len(claim(connection, store, 1, lease_ms=60_000)) == 1


def test_the_sweeper_goes_through_an_index_of_any_length(
    connection: SyncRedis, store: JobStore, sweeper: Sweeper
) -> None:
    submit(connection, store, 1_100)
    connection.client.delete(store.keys.ready(GROUP, "default"))

    for _ in range(3):
        sweeper.step(now=0.0)

    assert len(claim(connection, store, 2_000, lease_ms=60_000)) == 1_100


# --- loop ----------------------------------------------------------------------------------------------------


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    server = EmbeddedServer(folder=tmp_path / "redis", port=free_port())
    server.start()
    yield server
    server.stop()


def settings_of(url: str, keys: Keys) -> Settings:
    classes = {"gpu": WorkerClass(min_workers=3, max_workers=3)}
    return Settings(
        redis_url=url,
        cell=keys.cell,
        lease_ms=500,
        reap_interval_ms=20,
        leader_ttl_ms=300,
        worker_classes=classes,
    )


class RunningScheduler:
    """A scheduler's loop in a thread."""

    def __init__(self, settings: Settings) -> None:
        self.connection = SyncRedis(url=settings.redis_url)
        self.scheduler = Scheduler(settings=settings, connection=self.connection)
        self.stop = StopSignal()
        self._thread = threading.Thread(target=self.scheduler.run, args=[self.stop])
        self._thread.start()

    def end(self) -> None:
        self.stop.request()
        self._thread.join()
        self.stop.close()
        self.connection.close()


@pytest.fixture
def running(own_server: EmbeddedServer, keys: Keys) -> Iterator[RunningScheduler]:
    running = RunningScheduler(settings_of(own_server.url, keys))
    yield running
    running.end()


def test_the_leader_says_how_many_workers_there_should_be(running: RunningScheduler, keys: Keys) -> None:
    client = running.connection.client

    wait_until(lambda: client.hgetall(keys.desired) == {b"gpu": b"3"})

    assert running.scheduler.is_leading


def test_two_schedulers_share_one_lead_and_the_second_takes_over(
    own_server: EmbeddedServer, keys: Keys, running: RunningScheduler
) -> None:
    wait_until(lambda: running.scheduler.is_leading)
    second = RunningScheduler(settings_of(own_server.url, keys))

    wait_until(lambda: second.scheduler.leader == running.scheduler.name)
    running.stop.request()
    wait_until(lambda: second.scheduler.is_leading)

    second.end()


def test_the_loop_lives_through_a_restart_of_the_server_and_rescues_after_a_grace(
    own_server: EmbeddedServer,
    keys: Keys,
    running: RunningScheduler,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    store = JobStore(keys)
    with_jobs = SyncRedis(url=own_server.url)
    [member] = submit(with_jobs, store)
    [lease] = claim(with_jobs, store, 1, lease_ms=60_000)
    wait_until(lambda: running.scheduler.is_leading)

    own_server.kill()
    wait_until(lambda: "cannot work" in caplog.text)
    own_server.start()
    with_jobs.client.zadd(keys.leases, {str(lease): 1})
    wait_until(lambda: read(with_jobs, store, member).reason == "worker_lost")

    assert "the server has just started" in caplog.text
    with_jobs.close()


@pytest.mark.slow
def test_sigterm_ends_the_process_and_gives_the_lead_back(own_server: EmbeddedServer, keys: Keys) -> None:
    environment = as_environment(settings_of(own_server.url, keys))
    process = subprocess.Popen(python_module("scheduler"), env=environment)
    client = SyncRedis(url=own_server.url).client
    wait_until(lambda: client.exists(keys.leader) == 1)

    process.send_signal(signal.SIGTERM)

    assert process.wait(20) == 0
    assert client.exists(keys.leader) == 0
    client.close()
