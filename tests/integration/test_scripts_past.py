"""What is remembered of attempts that came to no result."""

from collections.abc import Callable

import pytest

from headrace.jobs import Reason
from headrace.store_views import PastAttempt
from tests.integration.script_cell import Cell

JOB = "default/j1"


def lose(cell: Cell, worker: str) -> None:
    cell.take_and_start(worker=worker)
    cell.lapse_leases()
    cell.reap()


def past(cell: Cell) -> list[PastAttempt]:
    return cell.run(cell.store.past(JOB))


def test_each_attempt_is_remembered_with_who_ran_it_in_which_batch_and_why_it_ended(cell: Cell) -> None:
    cell.submit("j1", max_attempts=4)
    cell.submit("mate", max_attempts=4)
    before_ms = cell.now_ms()

    lose(cell, "w1")
    cell.run(cell.store.release(cell.take_and_start(worker="w2", jobs=1), reason=Reason.PREEMPTED))
    cell.run(cell.store.release(cell.take_and_start(worker="w3", jobs=1)))
    cell.fail(cell.take_and_start(worker="w4", jobs=1))

    expected = [("w1", 2, "worker_lost"), ("w2", 1, "preempted"), ("w3", 1, "given_back"), ("w4", 1, "model")]
    attempts = past(cell)
    assert expected == [(attempt.worker, attempt.batch_size, attempt.why) for attempt in attempts]
    assert all(before_ms <= (attempt.started_ms or 0) <= attempt.ended_ms <= cell.now_ms() for attempt in attempts)
    assert cell.job(JOB).attempts == 2


def test_what_never_began_was_no_attempt(cell: Cell) -> None:
    cell.submit("j1")

    cell.run(cell.store.release(cell.take()))
    cell.take()
    cell.lapse_leases()
    cell.reap()

    assert [] == past(cell)


def test_a_failure_whose_start_was_not_told_has_no_beginning(cell: Cell) -> None:
    cell.submit("j1")

    cell.fail(cell.take())

    [attempt] = past(cell)
    assert ("w1", None, None) == (attempt.worker, attempt.started_ms, attempt.batch_size)


def test_the_newest_twenty_are_kept(cell: Cell) -> None:
    cell.submit("j1", max_attempts=100)

    for number in range(25):
        lose(cell, f"w{number}")

    assert [f"w{number}" for number in range(5, 25)] == [attempt.worker for attempt in past(cell)]


def gone(cell: Cell) -> None:
    cell.redis.delete(cell.keys.job(JOB))
    cell.sweep()


@pytest.mark.parametrize(
    "forget", [lambda cell: cell.erase(JOB), lambda cell: cell.forget(), gone], ids=["erased", "forgotten", "gone"]
)
def test_it_goes_with_the_record(cell: Cell, forget: Callable[[Cell], object]) -> None:
    cell.submit("j1")
    lose(cell, "w1")
    cell.commit(cell.take_and_start())

    forget(cell)

    assert [] == past(cell)


def test_what_somebody_else_wrote_there_is_passed_over(cell: Cell) -> None:
    cell.submit("j1")
    cell.redis.rpush(cell.keys.past(JOB), "no attempt", "[1]")

    lose(cell, "w1")

    assert ["w1"] == [attempt.worker for attempt in past(cell)]
