"""How far a job's pass was when its worker had to leave: kept for the next one, and no longer than it is of use."""

import pytest

from headrace.jobs import Cause, JobStatus, Lease, Reason
from headrace.store_work import ClaimedJob
from tests.integration.script_cell import Cell

MEMBER = "default/j1"
HALF = b"\x00half"


def give_back(cell: Cell, leases: list[Lease], kept: bytes = HALF) -> None:
    cell.run(cell.store.release(leases, reason=Reason.PREEMPTED, kept=dict.fromkeys(leases, kept)))


def claimed(cell: Cell) -> ClaimedJob:
    [job] = cell.claim().jobs
    return job


def is_kept(cell: Cell) -> bool:
    return bool(cell.redis.exists(cell.keys.checkpoint(MEMBER)))


def test_how_far_a_pass_was_is_handed_to_the_worker_that_runs_it_next(cell: Cell) -> None:
    cell.submit("j1")
    give_back(cell, cell.take_and_start())

    job = claimed(cell)

    assert (HALF, 0) == (job.checkpoint, job.attempts)
    assert 0 < cell.redis.ttl(cell.keys.checkpoint(MEMBER)) <= 7 * 86_400


def test_a_job_of_which_nothing_is_kept_begins_anew(cell: Cell) -> None:
    cell.submit("j1")
    give_back(cell, cell.take_and_start(), b"")

    assert b"" == claimed(cell).checkpoint
    assert not is_kept(cell)


def test_who_gives_it_back_without_having_run_it_or_dies_leaves_what_was_kept(cell: Cell) -> None:
    cell.submit("j1")
    give_back(cell, cell.take_and_start())

    give_back(cell, [claimed(cell).lease], b"")
    cell.run(cell.store.start([claimed(cell).lease]))
    cell.lapse_leases()
    cell.reap()

    assert HALF == claimed(cell).checkpoint


def test_the_last_word_counts(cell: Cell) -> None:
    cell.submit("j1")
    give_back(cell, cell.take_and_start())

    give_back(cell, cell.take_and_start(), b"more")

    assert b"more" == claimed(cell).checkpoint


def test_after_an_attempt_that_failed_a_job_begins_anew(cell: Cell) -> None:
    cell.submit("j1")
    give_back(cell, cell.take_and_start())

    cell.fail(cell.take_and_start())

    assert b"" == claimed(cell).checkpoint


@pytest.mark.parametrize("end", ["succeeded", "failed", "canceled", "expired", "erased", "given up"])
def test_it_goes_with_the_end_of_the_job(cell: Cell, end: str) -> None:
    cell.submit("j1", deadline_ms=cell.now_ms() + 60_000, max_attempts=1)
    give_back(cell, cell.take_and_start())
    assert is_kept(cell)

    match end:
        case "succeeded":
            cell.commit(cell.take_and_start())
        case "failed":
            cell.commit(cell.take_and_start(), cause=Cause.MODEL)
        case "canceled":
            cell.cancel(MEMBER)
        case "expired":
            cell.pass_deadlines(MEMBER)
            cell.expire()
        case "erased":
            cell.erase(MEMBER)
        case _:
            cell.take_and_start()
            cell.lapse_leases()
            cell.reap()

    assert not is_kept(cell)


def test_a_worker_that_lost_its_lease_keeps_nothing(cell: Cell) -> None:
    cell.submit("j1")
    lost = cell.take_and_start()
    cell.lapse_leases()
    cell.reap()

    give_back(cell, lost)

    assert not is_kept(cell)
    assert b"" == claimed(cell).checkpoint


def test_what_is_kept_is_part_of_what_a_claim_has_room_for(cell: Cell) -> None:
    cell.submit("j1")
    cell.submit("j2")
    give_back(cell, cell.take_and_start(), b"x" * 1000)

    first = cell.claim(room=1000).jobs
    second = cell.claim(room=1000).jobs

    assert [[MEMBER], ["default/j2"]] == [[job.member for job in jobs] for jobs in (first, second)]


def test_what_lies_there_and_is_none_of_ours_harms_no_job(cell: Cell) -> None:
    cell.submit("j1")
    give_back(cell, cell.take_and_start())
    cell.redis.delete(cell.keys.checkpoint(MEMBER))
    cell.redis.hset(cell.keys.checkpoint(MEMBER), "not", "ours")

    cell.commit([claimed(cell).lease])

    assert JobStatus.SUCCEEDED is cell.status(MEMBER)
