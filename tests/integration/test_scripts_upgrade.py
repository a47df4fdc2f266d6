"""Processes of two releases on one cell, as in a rolling upgrade: each goes on with the other's work."""

import pytest

from headrace.jobs import SCHEMA_VERSION, Job, JobStatus
from headrace.store_work import CommitAnswer
from tests.integration.old_scripts import OldCell
from tests.integration.script_cell import Cell

MEMBER = "default/j1"


@pytest.fixture
def old(cell: Cell) -> OldCell:
    return OldCell(cell)


def assert_done(cell: Cell) -> None:
    job = cell.job(MEMBER)
    assert (JobStatus.SUCCEEDED, 1, b'"done"') == (job.status, job.attempts, cell.output(MEMBER))
    assert 0 == cell.redis.zcard(cell.keys.leases)


def test_an_old_api_and_a_new_worker(cell: Cell, old: OldCell) -> None:
    assert "accepted" == old.submit("j1")

    leases = cell.take_and_start()

    assert [CommitAnswer.KEPT] == cell.commit(leases)
    assert_done(cell)


@pytest.mark.parametrize("is_told", [True, False])
def test_a_new_api_and_an_old_worker(cell: Cell, old: OldCell, is_told: bool) -> None:
    cell.submit("j1", traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

    leases = old.take()
    if is_told:
        assert "1" == old.start(leases)

    assert "1" == old.commit(leases)
    assert_done(cell)
    assert "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" == cell.job(MEMBER).traceparent


def test_what_an_old_worker_gives_back_a_new_one_runs(cell: Cell, old: OldCell) -> None:
    cell.submit("j1")
    first = old.take()
    old.start(first)

    assert 1 == old.release(first)

    assert [CommitAnswer.KEPT] == cell.commit(cell.take_and_start())
    assert "0" == old.commit(first)
    assert_done(cell)


def test_an_old_worker_runs_what_a_new_one_kept_from_the_beginning(cell: Cell, old: OldCell) -> None:
    cell.submit("j1")
    leases = cell.take_and_start()
    cell.run(cell.store.release(leases, kept=dict.fromkeys(leases, b"half")))

    again = old.take()
    old.start(again)

    assert "1" == old.commit(again)
    assert_done(cell)
    assert 0 < cell.redis.ttl(cell.keys.checkpoint(MEMBER))


def test_what_an_older_api_took_for_plain_though_it_must_begin_in_time_ends_once(cell: Cell) -> None:
    cell.submit("j1", start_by_ms=cell.now_ms() + 60_000)
    cell.redis.hset(cell.keys.job(MEMBER), "f", "00")

    assert [CommitAnswer.KEPT] == cell.commit(cell.take())

    cell.pass_deadlines(MEMBER)
    assert 1 == cell.expire()
    assert_done(cell)
    assert 0 == cell.redis.zcard(cell.keys.deadlines)


def test_a_new_scheduler_rescues_from_an_old_worker(cell: Cell, old: OldCell) -> None:
    cell.submit("j1")
    first = old.take()
    cell.lapse_leases()

    assert 1 == cell.reap().requeued

    assert "0" == old.commit(first)
    assert [CommitAnswer.KEPT] == cell.commit(cell.take_and_start())
    assert_done(cell)


def test_an_old_scheduler_rescues_from_a_new_worker(cell: Cell, old: OldCell) -> None:
    cell.submit("j1")
    first = cell.take()
    cell.lapse_leases()

    assert 1 == old.reap()

    assert [CommitAnswer.REFUSED] == cell.commit(first)
    leases = old.take()
    old.start(leases)
    assert "1" == old.commit(leases)
    assert_done(cell)


def test_each_cancels_what_the_other_accepted(cell: Cell, old: OldCell) -> None:
    cell.submit("j1")
    old.submit("j2")

    assert "canceled" == old.cancel("default/j1")
    assert JobStatus.CANCELED is cell.cancel("default/j2")

    assert [] == cell.take()
    assert [] == old.take()


def test_a_job_that_is_canceled_while_an_old_worker_runs_it_ends_canceled(cell: Cell, old: OldCell) -> None:
    cell.submit("j1")
    leases = old.take()
    old.start(leases)

    assert JobStatus.CANCELING is cell.cancel(MEMBER)
    old.commit(leases)

    assert JobStatus.CANCELED is cell.status(MEMBER)


def test_a_commit_that_both_send_is_kept_once(cell: Cell, old: OldCell) -> None:
    old.submit("j1")
    leases = old.take()
    old.start(leases)

    assert "1" == old.commit(leases)

    assert [CommitAnswer.ALREADY_KEPT] == cell.commit(leases)
    assert_done(cell)


def test_a_record_of_a_later_layout_is_refused_and_says_why(cell: Cell) -> None:
    cell.submit("j1")
    cell.redis.hset(cell.keys.job(MEMBER), "v", SCHEMA_VERSION + 1)

    with pytest.raises(ValueError, match=r"layout 2.* knows 1: upgrade it"):
        cell.job(MEMBER)


def test_every_record_says_its_layout(cell: Cell, old: OldCell) -> None:
    cell.submit("j1")
    old.submit("j2")

    layouts = [cell.redis.hget(cell.keys.job(member), "v") for member in ("default/j1", "default/j2")]

    assert [b"1", b"1"] == layouts
    assert isinstance(cell.job("default/j2"), Job)
