"""All the ways to tell a worker to stop: how long it waits for its batch, and what becomes of the jobs."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.jobs import Job, JobStatus
from tests.integration.engine_rig import wait_until
from tests.integration.running_worker import LIMIT_S, RunningWorker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

Make = Callable[..., RunningWorker]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[RunningWorker] = []

    def make(**settings: Any) -> RunningWorker:
        worker = RunningWorker(tmp_path, **settings)
        made.append(worker)
        worker.finish(*worker.submit("warm up"))
        return worker

    yield make
    for worker in made:
        worker.close()


def in_mid_batch(worker: RunningWorker) -> tuple[str, list[str], Path]:
    """A batch that lasts as long as its file, and jobs that wait: some here, some in the queue."""
    running, file = worker.hold("hold")
    waiting = worker.submit(*(f"word {number}" for number in range(20)))
    wait_until(lambda: (said := worker.presence()) is not None and said.jobs_held > 1, limit_s=LIMIT_S)
    return running, waiting, file


def assert_given_back(worker: RunningWorker, members: list[str]) -> None:
    """Queued as if nobody had ever taken them."""
    jobs: list[Job] = [worker.job(member) for member in members]
    assert {JobStatus.QUEUED} == {job.status for job in jobs}
    assert {0} == {job.attempts for job in jobs}
    assert {None} == {job.worker for job in jobs}
    assert 0 == worker.leases()


def assert_the_next_worker_does_them(worker: RunningWorker, members: list[str]) -> None:
    worker.start("--name", "w2")
    assert {JobStatus.SUCCEEDED} == set(worker.finish(*members))
    assert {1} == {worker.job(member).attempts for member in members}


@pytest.mark.parametrize("grace_s", [0.5, 2])
def test_a_batch_longer_than_the_grace_is_given_back_uncharged(make: Make, grace_s: float) -> None:
    worker = make(shutdown_grace_s=grace_s)
    running, waiting, file = in_mid_batch(worker)

    worker.signal(signal.SIGTERM)
    code = worker.process.wait(LIMIT_S)

    assert 0 == code
    assert_given_back(worker, [running, *waiting])
    file.unlink()
    assert_the_next_worker_does_them(worker, [running, *waiting])


def test_a_batch_shorter_than_the_grace_is_finished(make: Make) -> None:
    worker = make(shutdown_grace_s=30)
    running, waiting, file = in_mid_batch(worker)

    worker.signal(signal.SIGTERM)
    worker.wait_logged("Warm shutdown")
    wait_until(lambda: worker.leases() == 1, limit_s=LIMIT_S)
    file.unlink()

    assert 0 == worker.process.wait(LIMIT_S)
    assert JobStatus.SUCCEEDED is worker.status(running)
    assert_given_back(worker, waiting)


def test_a_second_sigterm_changes_nothing(make: Make) -> None:
    worker = make(shutdown_grace_s=30)
    running, waiting, file = in_mid_batch(worker)

    worker.signal(signal.SIGTERM)
    wait_until(lambda: worker.leases() == 1, limit_s=LIMIT_S)
    worker.signal(signal.SIGTERM)
    file.unlink()

    assert 0 == worker.process.wait(LIMIT_S)
    assert JobStatus.SUCCEEDED is worker.status(running)
    assert_given_back(worker, waiting)


def test_sigquit_gives_everything_back_without_waiting(make: Make) -> None:
    worker = make(shutdown_grace_s=600)
    running, waiting, file = in_mid_batch(worker)

    worker.signal(signal.SIGQUIT)
    worker.process.wait(LIMIT_S)

    assert_given_back(worker, [running, *waiting])
    file.unlink()
    assert_the_next_worker_does_them(worker, [running, *waiting])


def test_sigquit_ends_the_wait_that_sigterm_began(make: Make) -> None:
    worker = make(shutdown_grace_s=600)
    running, waiting, file = in_mid_batch(worker)

    worker.signal(signal.SIGTERM)
    wait_until(lambda: worker.leases() == 1, limit_s=LIMIT_S)
    worker.signal(signal.SIGQUIT)
    worker.process.wait(LIMIT_S)

    assert_given_back(worker, [running, *waiting])
    file.unlink()
    assert_the_next_worker_does_them(worker, [running, *waiting])


def test_ctrl_c_twice_gives_everything_back(make: Make) -> None:
    worker = make(shutdown_grace_s=600)
    running, waiting, file = in_mid_batch(worker)

    worker.signal(signal.SIGINT)
    wait_until(lambda: worker.leases() == 1, limit_s=LIMIT_S)
    worker.signal(signal.SIGINT)
    worker.process.wait(LIMIT_S)

    assert_given_back(worker, [running, *waiting])
    assert file.exists()


def test_a_worker_whose_sigterm_means_sigquit_gives_back_at_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMAP_SIGTERM", "SIGQUIT")
    worker = make(shutdown_grace_s=600)
    running, waiting, _ = in_mid_batch(worker)

    worker.signal(signal.SIGTERM)
    worker.process.wait(LIMIT_S)

    assert_given_back(worker, [running, *waiting])


def test_an_idle_worker_does_not_wait(make: Make) -> None:
    worker = make(shutdown_grace_s=600)

    worker.signal(signal.SIGTERM)

    assert 0 == worker.process.wait(LIMIT_S)
    assert 0 == worker.leases()


@pytest.mark.parametrize("loaded", ["", "orjson", "hiredis"])
def test_a_worker_told_to_stop_while_it_starts_ends_well(make: Make, loaded: str) -> None:
    worker = make()
    worker.signal(signal.SIGTERM)
    worker.process.wait(LIMIT_S)

    process = worker.start("--name", "w2")
    wait_until(lambda: catches_sigterm(process.pid) and has_mapped(process.pid, loaded), limit_s=LIMIT_S)
    process.send_signal(signal.SIGTERM)

    assert 0 == process.wait(LIMIT_S)


def catches_sigterm(pid: int) -> bool:
    """Tell whether a process has said what it does at SIGTERM."""
    status = Path(f"/proc/{pid}/status").read_text()
    [caught] = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt")]
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def has_mapped(pid: int, library: str) -> bool:
    """Tell whether a process has loaded a library."""
    return library in Path(f"/proc/{pid}/maps").read_text()
