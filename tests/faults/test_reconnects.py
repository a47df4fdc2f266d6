"""Celery loses its connections again and again while jobs run: the engine goes on with each new consumer."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.jobs import JobStatus
from tests.integration.engine_rig import wait_until
from tests.integration.running_worker import LIMIT_S, RunningWorker

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(600)]

ROUNDS = 20


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[RunningWorker]:
    worker = RunningWorker(tmp_path)
    worker.finish(*worker.submit("warm up"))
    yield worker
    worker.close()


def has_lost_its_connection(worker: RunningWorker, times: int) -> bool:
    text = (worker.folder / "worker.log").read_text(errors="replace")
    return text.count("Connection to broker lost") >= times


def all_ended(worker: RunningWorker, members: list[str]) -> bool:
    """Take back what a claim has leased whose answer was cut off, as the scheduler would, and look."""
    worker.redis.run(worker.store.reap(limit=100, result_ttl_s=3600))
    return all(worker.status(member).is_terminal for member in members)


def test_twenty_reconnects_with_jobs_in_flight_lose_none(worker: RunningWorker) -> None:
    pid, members = worker.process.pid, list[str]()
    for number in range(1, ROUNDS + 1):
        held, file = worker.hold(f"round {number}")
        members += [held, *worker.submit("a", "b", "c")]

        worker.cut_connections()
        wait_until(lambda number=number: has_lost_its_connection(worker, number), limit_s=LIMIT_S)  # type: ignore[misc] # mypy takes the default for an argument
        file.unlink()
        wait_until(worker.answers, limit_s=LIMIT_S)

    wait_until(lambda: all_ended(worker, members), limit_s=LIMIT_S)
    assert {JobStatus.SUCCEEDED} == {worker.status(member) for member in members}
    assert [JobStatus.SUCCEEDED] == worker.finish(*worker.submit("after"))
    assert (pid, None) == (worker.process.pid, worker.process.poll())
    wait_until(lambda: worker.leases() == 0, limit_s=LIMIT_S)
    assert [] == worker.ask("active")
