"""Failing, canceling, expiring: the ways to end other than with a result."""

from collections.abc import Callable

import pytest

from headrace.jobs import Cause, JobStatus
from headrace.store_care import Swept
from headrace.store_work import CommitAnswer
from headrace.webhooks import DeliveryState
from tests.integration.script_cell import TTL_S, Cell

KEPT, ALREADY_KEPT, REFUSED = CommitAnswer.KEPT, CommitAnswer.ALREADY_KEPT, CommitAnswer.REFUSED


# --- fail ----------------------------------------------------------------------------------------------------


def test_a_failed_attempt_waits_out_its_backoff(cell: Cell) -> None:
    cell.submit("j1")
    leases = cell.take_and_start()
    before_ms = cell.now_ms()

    answers = cell.fail(leases, backoff_ms=5_000)

    job = cell.job("default/j1")
    assert (answers, job.status, job.reason, job.attempts) == ([KEPT], JobStatus.QUEUED, "retry_backoff", 1)
    assert before_ms + 5_000 <= cell.redis.zscore(cell.keys.delayed, "default/j1") <= cell.now_ms() + 5_000
    assert (cell.ready(), cell.redis.zcard(cell.keys.leases), job.worker) == ([], 0, None)


def test_without_backoff_the_job_takes_its_old_place_and_the_bell_rings(cell: Cell) -> None:
    cell.submit("j1")
    leases = cell.take_and_start()
    rings = cell.rings()

    cell.fail(leases)

    assert (["default/j1"], rings + 1) == (cell.ready(), cell.rings())
    assert cell.job("default/j1").reason is None


def test_the_last_attempt_fails_the_job_with_its_error(cell: Cell) -> None:
    cell.submit("j1", max_attempts=2)
    cell.fail(cell.take_and_start())

    answers = cell.fail(cell.take_and_start())

    job = cell.job("default/j1")
    assert (answers, job.status, job.cause, job.attempts) == ([KEPT], JobStatus.FAILED, "model", 2)
    assert (cell.output("default/j1"), cell.events()) == (b'{"cause":"model"}', ["default/j1 failed"])
    assert cell.stat("dead") == 1


def test_an_attempt_whose_start_was_never_told_is_charged_when_it_fails(cell: Cell) -> None:
    cell.submit("j1", max_attempts=1)

    cell.fail(cell.take())

    assert (cell.status("default/j1"), cell.job("default/j1").attempts) == (JobStatus.FAILED, 1)


def test_a_failure_sent_again_is_known(cell: Cell) -> None:
    cell.submit("j1")
    leases = cell.take_and_start()
    cell.fail(leases)

    assert (cell.fail(leases), cell.job("default/j1").attempts) == ([ALREADY_KEPT], 1)


def test_a_failure_after_the_lease_was_taken_is_refused(cell: Cell) -> None:
    cell.submit("j1")
    leases = cell.take_and_start()
    cell.lapse_leases()
    cell.reap()

    assert (cell.fail(leases), cell.ready()) == ([REFUSED], ["default/j1"])


def test_a_failed_attempt_of_a_job_being_canceled_ends_it(cell: Cell) -> None:
    cell.submit("j1")
    leases = cell.take_and_start()
    cell.cancel("default/j1")

    cell.fail(leases)

    assert (cell.status("default/j1"), cell.events()) == (JobStatus.CANCELED, ["default/j1 canceled"])


# --- cancel --------------------------------------------------------------------------------------------------


def assert_canceled_without_trace(cell: Cell) -> None:
    assert (cell.status("default/j1"), cell.events()) == (JobStatus.CANCELED, ["default/j1 canceled"])
    left = (cell.keys.delayed, cell.keys.leases, cell.keys.deadlines)
    assert (cell.redis.exists(*left), cell.ready()) == (0, [])
    assert 0 < cell.redis.ttl(cell.keys.job("default/j1")) <= TTL_S


def test_a_ready_job_is_canceled_at_once(cell: Cell) -> None:
    cell.submit("j1", deadline_ms=cell.now_ms() + 60_000)

    assert cell.cancel("default/j1") == JobStatus.CANCELED
    assert_canceled_without_trace(cell)


def test_a_delayed_job_is_canceled_at_once(cell: Cell) -> None:
    cell.submit("j1", not_before_ms=cell.now_ms() + 60_000)

    assert cell.cancel("default/j1") == JobStatus.CANCELED
    assert_canceled_without_trace(cell)


def test_a_claimed_job_is_canceled_at_once_and_the_worker_finds_its_lease_lost(cell: Cell) -> None:
    cell.submit("j1")
    leases = cell.take()

    assert cell.cancel("default/j1") == JobStatus.CANCELED
    assert_canceled_without_trace(cell)
    assert [str(leases[0])] == cell.run(cell.store.renew(leases, lease_ms=1000))
    assert cell.commit(leases) == [REFUSED]


def test_canceling_the_only_ready_job_ends_its_tenants_turn(cell: Cell) -> None:
    cell.submit("j1")

    cell.cancel("default/j1")
    cell.submit("j2")

    assert cell.rings() == 2


def test_a_running_job_is_canceled_when_its_pass_ends(cell: Cell) -> None:
    cell.submit("j1")
    cell.take_and_start()

    assert cell.cancel("default/j1") == JobStatus.CANCELING
    assert cell.cancel("default/j1") == JobStatus.CANCELING
    assert cell.redis.zcard(cell.keys.leases) == 1


def test_a_finished_job_cannot_be_canceled(cell: Cell) -> None:
    cell.submit("j1")
    cell.commit(cell.take_and_start())
    before = cell.job("default/j1")

    assert cell.cancel("default/j1") == JobStatus.SUCCEEDED
    assert before == cell.job("default/j1")


def test_canceling_what_is_not_there_answers_none(cell: Cell) -> None:
    assert cell.cancel("default/none") is None


# --- expire --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["deadline_ms", "start_by_ms"])
def test_a_job_that_waits_too_long_expires(cell: Cell, field: str) -> None:
    cell.submit("j1", **{field: cell.now_ms() + 60_000})
    cell.pass_deadlines("default/j1")

    expired = cell.expire()

    assert (expired, cell.status("default/j1"), cell.job("default/j1").cause) == (1, JobStatus.EXPIRED, "deadline")
    assert (cell.events(), cell.ready()) == (["default/j1 expired"], [])
    assert not cell.redis.exists(cell.keys.deadlines, cell.keys.turn("m@1:standard"))


def test_before_its_time_nothing_expires(cell: Cell) -> None:
    cell.submit("j1", deadline_ms=cell.now_ms() + 60_000)

    assert (cell.expire(), cell.status("default/j1")) == (0, JobStatus.QUEUED)


def test_a_running_job_expires_at_its_deadline_and_its_result_is_refused(cell: Cell) -> None:
    cell.submit("j1", deadline_ms=cell.now_ms() + 60_000)
    leases = cell.take_and_start()
    cell.pass_deadlines("default/j1")

    cell.expire()

    assert (cell.commit(leases), cell.status("default/j1")) == ([REFUSED], JobStatus.EXPIRED)
    assert (cell.output("default/j1"), cell.redis.zcard(cell.keys.leases)) == (None, 0)


def test_a_job_that_has_begun_in_time_is_not_ended_by_its_latest_start(cell: Cell) -> None:
    cell.submit("j1", start_by_ms=cell.now_ms() + 60_000)
    leases = cell.take_and_start()
    cell.pass_deadlines("default/j1")

    cell.expire()

    assert (cell.commit(leases), cell.redis.zcard(cell.keys.deadlines)) == ([KEPT], 0)


def test_after_its_latest_start_a_running_job_is_watched_for_its_deadline(cell: Cell) -> None:
    deadline = cell.now_ms() + 60_000
    cell.submit("j1", start_by_ms=deadline - 30_000, deadline_ms=deadline)
    cell.take_and_start()
    cell.redis.hset(cell.keys.job("default/j1"), "y", 1)
    cell.redis.zadd(cell.keys.deadlines, {"default/j1": 1})

    cell.expire()

    assert (JobStatus.RUNNING, deadline) == (
        cell.status("default/j1"),
        cell.redis.zscore(cell.keys.deadlines, "default/j1"),
    )


def test_a_claimed_job_that_never_began_expires_at_its_latest_start(cell: Cell) -> None:
    cell.submit("j1", start_by_ms=cell.now_ms() + 60_000)
    leases = cell.take()
    cell.pass_deadlines("default/j1")

    cell.expire()

    assert (cell.status("default/j1"), cell.run(cell.store.start(leases))) == (JobStatus.EXPIRED, [False])


def test_a_delayed_job_expires_too(cell: Cell) -> None:
    cell.submit("j1", not_before_ms=cell.now_ms() + 60_000, deadline_ms=cell.now_ms() + 90_000)
    cell.pass_deadlines("default/j1")

    cell.expire()

    assert (cell.status("default/j1"), cell.redis.zcard(cell.keys.delayed)) == (JobStatus.EXPIRED, 0)


def test_a_broken_record_does_not_keep_others_from_expiring(cell: Cell) -> None:
    for i in range(3):
        cell.submit(f"j{i}", deadline_ms=cell.now_ms() + 60_000 + i)
    cell.pass_deadlines("default/j0", "default/j1", "default/j2")
    cell.redis.hset(cell.keys.job("default/j0"), "d", "tomorrow")
    cell.redis.delete(cell.keys.job("default/j1"))

    cell.expire()

    assert (cell.status("default/j2"), cell.redis.zcard(cell.keys.deadlines)) == (JobStatus.EXPIRED, 0)


# --- after a commit that was stopped ------------------------------------------------------------------------


def canceled_while_it_waits(cell: Cell) -> None:
    cell.cancel("default/j1")


def canceled_in_a_pass_that_is_lost(cell: Cell) -> None:
    cell.take_and_start()
    cell.cancel("default/j1")
    cell.lapse_leases()
    cell.reap()


@pytest.mark.parametrize(
    "end",
    [
        canceled_while_it_waits,
        pytest.param(lambda cell: canceled_in_its_pass(cell), id="canceled_in_its_pass"),
        canceled_in_a_pass_that_is_lost,
        pytest.param(lambda cell: expired(cell), id="expired"),
    ],
)
def test_what_ends_without_a_result_has_no_output_of_a_commit_that_was_stopped(
    cell: Cell, end: Callable[[Cell], object]
) -> None:
    cell.submit("j1", deadline_ms=cell.now_ms() + 60_000)
    cell.redis.set(cell.keys.output("default/j1"), b'"half-way"', ex=TTL_S)

    end(cell)

    assert (cell.job("default/j1").status.is_terminal, cell.output("default/j1")) == (True, None)


# --- how long it is kept -------------------------------------------------------------------------------------


def reaped(cell: Cell) -> None:
    cell.take_and_start()
    cell.lapse_leases()
    cell.reap()


def canceled_in_its_pass(cell: Cell) -> None:
    leases = cell.take_and_start()
    cell.cancel("default/j1")
    cell.commit(leases)


def expired(cell: Cell) -> None:
    cell.pass_deadlines("default/j1")
    cell.expire()


def mended(cell: Cell) -> None:
    cell.commit(cell.take_and_start())
    cell.redis.persist(cell.keys.job("default/j1"))
    cell.sweep()


def told(cell: Cell) -> None:
    cell.commit(cell.take_and_start())
    cell.redis.hset(cell.keys.job("default/j1"), "h", 1)
    cell.redis.set(cell.keys.hook("default/j1"), "https://example.com/")
    cell.redis.zadd(cell.keys.outbox, {"default/j1:1": 1})
    cell.settle(cell.claim_deliveries(), DeliveryState.DELIVERED)


@pytest.mark.parametrize(
    "end",
    [
        lambda cell: cell.commit(cell.take_and_start()),
        lambda cell: cell.commit(cell.take()),
        lambda cell: cell.commit(cell.take(), cause=Cause.MODEL),
        lambda cell: cell.fail(cell.take_and_start()),
        lambda cell: cell.cancel("default/j1"),
        *(reaped, canceled_in_its_pass, expired, mended, told),
    ],
    ids=[
        *("succeeded", "succeeded at once", "failed", "given up", "canceled"),
        *("reaped", "canceled in its pass", "expired", "mended", "told"),
    ],
)
def test_each_job_is_kept_as_long_as_was_asked_for_however_it_ended(cell: Cell, end: Callable[[Cell], object]) -> None:
    cell.submit("j1", max_attempts=1, deadline_ms=cell.now_ms() + 60_000, result_ttl_s=30)

    end(cell)

    job, output = cell.keys.job("default/j1"), cell.keys.output("default/j1")
    assert cell.status("default/j1").is_terminal
    assert 25 <= cell.redis.ttl(job) <= 30
    assert cell.redis.ttl(output) == -2 or 25 <= cell.redis.ttl(output) <= 30


def test_a_job_that_asks_for_nothing_else_is_kept_as_long_as_was_asked_for(cell: Cell) -> None:
    cell.submit("j1", result_ttl_s=30)

    cell.commit(cell.take())

    assert 25 <= cell.redis.ttl(cell.keys.job("default/j1")) <= 30


def test_what_somebody_is_to_be_told_of_is_kept_longer_by_the_usual_time_if_nobody_comes_for_it(cell: Cell) -> None:
    cell.submit("j1", webhook_url="https://example.com/", result_ttl_s=30)

    cell.commit(cell.take_and_start())

    assert Swept(0, 0, 0) == cell.sweep()
    assert 4 * 86_400 + 25 <= cell.redis.ttl(cell.keys.job("default/j1")) <= 4 * 86_400 + 30
