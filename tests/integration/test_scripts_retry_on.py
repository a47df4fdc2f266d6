"""Jobs that say for which causes their attempts may be repeated."""

import orjson
import pytest

from headrace.jobs import REPEATABLE, Cause, JobStatus, Reason
from headrace.store_work import CommitAnswer
from tests.integration.old_scripts import OldCell
from tests.integration.script_cell import OUTGROWN, TTL_S, Cell

MEMBER = "default/j1"


def test_a_failure_for_another_cause_ends_the_job_although_attempts_are_left(cell: Cell) -> None:
    cell.submit(retry_on=(Cause.WORKER_LOST,))

    answers = cell.fail(cell.take_and_start(), cause=Cause.TIMEOUT, backoff_ms=1000)

    job = cell.job(MEMBER)
    assert [CommitAnswer.KEPT] == answers
    assert (JobStatus.FAILED, Cause.TIMEOUT, 1) == (job.status, job.cause, job.attempts)
    assert b'{"cause":"timeout"}' == cell.output(MEMBER)
    assert [] == cell.take()
    assert 1 == cell.redis.zcard(cell.keys.dead_letters("default"))


@pytest.mark.parametrize("cause", REPEATABLE)
def test_a_failure_for_a_cause_that_is_named_is_repeated(cell: Cell, cause: Cause) -> None:
    cell.submit(retry_on=(cause,), max_attempts=2)

    cell.fail(cell.take_and_start(), cause=cause)
    waits = cell.status(MEMBER)
    cell.fail(cell.take_and_start(), cause=cause)

    assert (JobStatus.QUEUED, JobStatus.FAILED) == (waits, cell.status(MEMBER))


def test_no_word_is_found_within_another(cell: Cell) -> None:
    cell.submit(retry_on=(Cause.RUN_TIMEOUT,))

    cell.fail(cell.take_and_start(), cause=Cause.TIMEOUT)

    assert JobStatus.FAILED is cell.status(MEMBER)


def test_what_ran_out_of_memory_is_passed_to_no_larger_worker_unless_that_is_named(cell: Cell) -> None:
    cell.submit("once", retry_on=())
    cell.submit("again", retry_on=(Cause.OOM,))

    cell.fail(cell.take_and_start(), cause=Cause.OOM, outgrown_bytes=OUTGROWN)

    assert JobStatus.FAILED is cell.status("default/once")
    assert Reason.NEEDS_LARGER_WORKER == cell.job("default/again").reason


def test_a_job_whose_worker_was_lost_has_failed_unless_that_is_named(cell: Cell) -> None:
    cell.submit("once", retry_on=(Cause.OOM, Cause.TIMEOUT))
    cell.submit("again", retry_on=(Cause.WORKER_LOST,))
    cell.take_and_start()
    cell.lapse_leases()

    reaped = cell.reap()

    once, again = cell.job("default/once"), cell.job("default/again")
    assert (1, 1) == (reaped.requeued, reaped.dead)
    assert (JobStatus.FAILED, Cause.WORKER_LOST) == (once.status, once.cause)
    assert "retry_on does not name worker_lost" in orjson.loads(cell.output("default/once") or b"")["detail"]
    assert (JobStatus.QUEUED, Reason.WORKER_LOST) == (again.status, again.reason)
    assert 0 == cell.redis.zcard(cell.keys.leases)


def test_what_cost_no_attempt_waits_again_whatever_is_named(cell: Cell) -> None:
    cell.submit(retry_on=())
    cell.take()
    cell.lapse_leases()
    cell.reap()
    never_begun = cell.job(MEMBER)

    cell.run(cell.store.release(cell.take_and_start(), reason=Reason.PREEMPTED))

    preempted = cell.job(MEMBER)
    assert [(JobStatus.QUEUED, 0)] * 2 == [(job.status, job.attempts) for job in (never_begun, preempted)]
    assert [CommitAnswer.KEPT] == cell.commit(cell.take_and_start())


def test_workers_are_told_of_those_that_say_so_and_of_no_others(cell: Cell) -> None:
    cell.submit("plain")
    cell.submit("once", retry_on=())
    cell.submit("again", retry_on=(Cause.OOM, Cause.TIMEOUT))

    claimed = [cell.claim().jobs]
    cell.run(cell.store.release([job.lease for job in claimed[0]]))
    claimed.append(cell.claim().jobs)

    expected = [("default/plain", None), ("default/once", ()), ("default/again", (Cause.OOM, Cause.TIMEOUT))]
    assert [expected] * 2 == [[(job.member, job.retry_on) for job in jobs] for jobs in claimed]
    assert [b"x", b"x", b"x"] == [orjson.loads(job.input).encode() for job in claimed[0]]


def test_many_of_one_kind_all_have_it(cell: Cell) -> None:
    cell.submit_many(3, retry_on=(Cause.OOM,))

    assert [(Cause.OOM,)] * 3 == [cell.job(f"default/j{i}").retry_on for i in range(3)]


def test_processes_of_an_earlier_release_repeat_what_they_always_did(cell: Cell) -> None:
    old = OldCell(cell)
    cell.submit(retry_on=())
    old.start(old.take())
    cell.lapse_leases()

    rescued = old.reap()
    leases = cell.take_and_start()

    assert (1, [CommitAnswer.KEPT]) == (rescued, cell.commit(leases))
    assert 0 < cell.redis.ttl(cell.keys.job(MEMBER)) <= TTL_S
