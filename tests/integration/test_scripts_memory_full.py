"""When Redis may take no more memory, nothing new is accepted, and all that was accepted still moves to its end."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from headrace.jobs import JobStatus
from headrace.keys import Keys
from headrace.store_care import Reaped
from headrace.store_work import CommitAnswer
from headrace.sync_redis import SyncRedis
from scheduler.embedded_server import EmbeddedServer, free_port
from tests.integration.script_cell import Cell


@pytest.fixture
def full_cell(tmp_path: Path) -> Iterator[Cell]:
    """A cell with jobs in every state, on a server of its own; `maxmemory` is what it uses already."""
    server = EmbeddedServer(folder=tmp_path, port=free_port())
    server.start()
    connection = SyncRedis(url=server.url)
    try:
        yield Cell(connection=connection, keys=Keys())
    finally:
        connection.close()
        server.stop()


def fill(cell: Cell) -> None:
    """Let the server take no more."""
    cell.redis.config_set("maxmemory", 1)


def pass_time(cell: Cell, *lapses: Callable[[], None]) -> None:
    """Let things lapse; the tests' own way of doing that needs memory."""
    cell.redis.config_set("maxmemory", 0)
    for lapse in lapses:
        lapse()
    fill(cell)


def test_a_submission_is_refused_whole(full_cell: Cell) -> None:
    full_cell.submit("before")
    fill(full_cell)

    with pytest.raises(redis.exceptions.OutOfMemoryError):
        full_cell.submit("new", idempotency_key="k", request_hash="h", deadline_ms=full_cell.now_ms() + 60_000)

    assert full_cell.ready() == ["default/before"]
    assert not [key for key in full_cell.redis.scan_iter("*") if b"new" in key or b":k:" in key]
    assert full_cell.redis.zcard(full_cell.keys.deadlines) == 0


def test_what_was_accepted_is_worked_on_to_the_end(full_cell: Cell) -> None:
    cell = full_cell
    for i in range(6):
        cell.submit(f"j{i}", deadline_ms=cell.now_ms() + 60_000 if i == 5 else 0)
    cell.submit("later", not_before_ms=cell.now_ms() + 60_000)
    fill(cell)

    done, failed, released, canceled = cell.take(jobs=4)
    assert cell.run(cell.store.start([done, failed, released, canceled])) == [True] * 4
    assert cell.run(cell.store.renew([done], lease_ms=60_000)) == []
    assert cell.commit([done]) == [CommitAnswer.KEPT]
    assert cell.fail([failed]) == [CommitAnswer.KEPT]
    assert cell.run(cell.store.release([released])) == 1
    assert cell.cancel(canceled.member) == JobStatus.CANCELING
    pass_time(cell, cell.lapse_leases, cell.lapse_delays, lambda: cell.pass_deadlines("default/j5"))
    assert Reaped(0, 1) == cell.reap()
    assert cell.expire() == 1
    assert cell.run(cell.store.promote(limit=10)) == 1
    assert cell.sweep() == (0, 0, 0)
    cell.commit(cell.take_and_start())

    ends = [cell.status(f"default/{name}") for name in ("j0", "j1", "j2", "j3", "j4", "j5", "later")]
    succeeded = JobStatus.SUCCEEDED
    expected = [succeeded] * 3 + [JobStatus.CANCELED, succeeded, JobStatus.EXPIRED, succeeded]
    assert expected == ends
