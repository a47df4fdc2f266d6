"""What has ended stays in Redis as long as there is room, and never takes more than it may."""

import pytest

from headrace.jobs import JobStatus
from headrace.keys import Keys
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from headrace.webhooks import DeliveryState
from scheduler.hot_window import HotWindow, Memory
from tests.integration.script_cell import Cell

MIB = 1 << 20


@pytest.fixture
def cell(connection: SyncRedis, keys: Keys) -> Cell:
    return Cell(connection=connection, keys=keys)


def window(connection: SyncRedis, cell: Cell, *, over_bytes: int = 0) -> HotWindow:
    """A window that the server is past now by so much; without, one that everything fits into."""
    used = int(cell.redis.info("memory")["used_memory"])
    room = used - over_bytes if over_bytes else 1 << 40
    return HotWindow(store=JobStore(cell.keys), connection=connection, window_bytes=room)


def finished(cell: Cell, *job_ids: str, body: bytes = b'"done"') -> None:
    for job_id in job_ids:
        cell.submit(job_id)
    cell.commit(cell.take_and_start(), body=body)


def test_while_there_is_room_everything_is_kept(connection: SyncRedis, cell: Cell) -> None:
    finished(cell, "a", "b")

    assert 0 == window(connection, cell).step()
    assert cell.job("default/a").status is JobStatus.SUCCEEDED


def test_the_oldest_finished_jobs_go_first_and_only_as_many_as_must(connection: SyncRedis, cell: Cell) -> None:
    for number in range(3000):
        cell.submit(f"j{number:04}", cap=10_000)
    for _ in range(30):
        cell.commit(cell.take_and_start(jobs=100), body=b'"' + b"x" * 2000 + b'"')

    forgotten = window(connection, cell, over_bytes=2 * MIB).step()

    left = cell.redis.zrange(cell.keys.index("default"), 0, -1)
    assert 500 <= forgotten < 3000
    assert [f"default/j{number:04}".encode() for number in range(forgotten, 3000)] == left
    assert cell.redis.exists(cell.keys.output("default/j0000"), cell.keys.job("default/j0000")) == 0


def test_what_has_not_ended_is_never_forgotten(connection: SyncRedis, cell: Cell) -> None:
    later = cell.now_ms() + 60_000
    cell.submit("waits", not_before_ms=later)
    finished(cell, "done")
    cell.submit("waits too", not_before_ms=later)

    window(connection, cell, over_bytes=MIB).step()

    assert [b"default/waits", b"default/waits too"] == cell.redis.zrange(cell.keys.index("default"), 0, -1)


def test_a_job_whose_webhook_is_untold_stays_until_it_is_told(connection: SyncRedis, cell: Cell) -> None:
    cell.submit("hooked", webhook_url="https://example.com/hook")
    cell.commit(cell.take_and_start())

    assert 0 == window(connection, cell, over_bytes=MIB).step()

    cell.settle(cell.claim_deliveries(), DeliveryState.DELIVERED)
    assert 1 == window(connection, cell, over_bytes=MIB).step()


def test_a_servers_own_limit_counts_when_it_is_the_smaller() -> None:
    assert 80 == Memory(used_bytes=0, max_bytes=100).room_bytes(1000)
    assert 50 == Memory(used_bytes=0, max_bytes=100).room_bytes(50)
    assert 50 == Memory(used_bytes=0, max_bytes=0).room_bytes(50)
