"""Starting, renewing, committing, giving back: what the holder of a lease may do, and nobody else."""

from collections.abc import Callable
from typing import TypeAlias

import pytest

from api.ends import read_end
from headrace.jobs import Cause, JobStatus, Lease, Reason
from headrace.store_work import CommitAnswer, Outcome
from tests.integration.script_cell import STANDARD, TTL_S, Cell

KEPT, ALREADY_KEPT, REFUSED = CommitAnswer.KEPT, CommitAnswer.ALREADY_KEPT, CommitAnswer.REFUSED
Take: TypeAlias = Callable[[Cell], list[Lease]]

#: Jobs are committed though their starts were not told, or once they were.
either_way = pytest.mark.parametrize("take", [Cell.take, Cell.take_and_start], ids=["at once", "started"])


def stale(lease: Lease) -> Lease:
    return lease._replace(fence=lease.fence - 1)


# --- start ---------------------------------------------------------------------------------------------------


def test_a_started_job_runs_and_is_charged_an_attempt(cell: Cell) -> None:
    cell.submit("j1")
    cell.submit("j2")

    started = cell.run(cell.store.start(cell.take()))

    job = cell.job("default/j1")
    assert started == [True, True]
    assert (job.status, job.attempts, job.batch_size) == (JobStatus.RUNNING, 1, 2)
    assert job.started_ms is not None
    assert job.started_ms >= job.created_ms


def test_a_start_sent_twice_charges_once(cell: Cell) -> None:
    cell.submit("j1")
    leases = cell.take()
    cell.run(cell.store.start(leases))

    assert cell.run(cell.store.start(leases)) == [True]
    assert cell.job("default/j1").attempts == 1


def test_who_does_not_hold_a_job_cannot_start_it(cell: Cell) -> None:
    cell.submit("j1")
    [lease] = cell.take()

    assert cell.run(cell.store.start([stale(lease), Lease("default/none", 1)])) == [False, False]
    assert cell.status("default/j1") == JobStatus.QUEUED


def test_a_job_canceled_while_claimed_does_not_start_but_its_mates_do(cell: Cell) -> None:
    cell.submit("j1")
    cell.submit("j2")
    leases = cell.take()
    cell.cancel("default/j1")

    assert cell.run(cell.store.start(leases)) == [False, True]


def test_a_start_forgets_why_the_job_had_waited(cell: Cell) -> None:
    cell.submit("j1")
    cell.fail(cell.take_and_start(), backoff_ms=1000)
    cell.lapse_delays()
    cell.run(cell.store.promote(limit=10))

    cell.take_and_start()

    assert cell.job("default/j1").reason is None


# --- renew ---------------------------------------------------------------------------------------------------


def test_a_renewal_pushes_the_expiry(cell: Cell) -> None:
    cell.submit("j1")
    [lease] = cell.take()

    lost = cell.run(cell.store.renew([lease], lease_ms=500_000))

    assert lost == []
    assert cell.redis.zscore(cell.keys.leases, str(lease)) > cell.now_ms() + 400_000


def test_a_renewal_never_shortens_a_lease(cell: Cell) -> None:
    cell.submit("j1")
    [lease] = cell.take()
    before = cell.redis.zscore(cell.keys.leases, str(lease))

    cell.run(cell.store.renew([lease], lease_ms=1))

    assert before == cell.redis.zscore(cell.keys.leases, str(lease))


def test_a_renewal_names_the_leases_that_are_lost(cell: Cell) -> None:
    cell.submit("j1")
    cell.submit("j2")
    first, second = cell.take()
    cell.redis.zadd(cell.keys.leases, {str(first): 1})
    cell.reap()
    [again] = cell.take(worker="w2")
    before = cell.redis.zscore(cell.keys.leases, str(again))

    lost = cell.run(cell.store.renew([first, second], lease_ms=500_000))

    assert [str(first)] == lost
    assert before == cell.redis.zscore(cell.keys.leases, str(again))


# --- commit --------------------------------------------------------------------------------------------------


@either_way
def test_a_committed_result_is_kept_and_the_job_has_succeeded(cell: Cell, take: Take) -> None:
    cell.submit("j1")
    [lease] = take(cell)

    answers = cell.commit([lease], body=b'{"label":"cat"}')

    job = cell.job("default/j1")
    assert answers == [KEPT]
    assert (job.status, job.cause, cell.output("default/j1")) == (JobStatus.SUCCEEDED, None, b'{"label":"cat"}')
    assert job.ended_ms is not None
    assert not cell.redis.exists(cell.keys.input("default/j1"), cell.keys.leases)


@either_way
def test_record_and_result_are_kept_for_the_same_time(cell: Cell, take: Take) -> None:
    cell.submit("j1")
    cell.commit(take(cell))

    ttls = [cell.redis.ttl(key("default/j1")) for key in (cell.keys.job, cell.keys.output)]

    assert all(TTL_S - 5 < ttl <= TTL_S for ttl in ttls)


@either_way
def test_a_failed_job_keeps_its_error_and_its_input(cell: Cell, take: Take) -> None:
    cell.submit("j1", input=b'"odd"')
    leases = take(cell)

    answers = cell.commit(leases, body=b'{"cause":"input"}', cause=Cause.INPUT)

    job = cell.job("default/j1")
    assert answers == [KEPT]
    assert (job.status, job.cause, cell.output("default/j1")) == (JobStatus.FAILED, "input", b'{"cause":"input"}')
    assert cell.redis.get(cell.keys.input("default/j1")) == b'"odd"'
    assert 0 < cell.redis.ttl(cell.keys.input("default/j1")) <= TTL_S


@either_way
def test_a_commit_sent_again_is_known_and_changes_nothing(cell: Cell, take: Take) -> None:
    cell.submit("j1")
    leases = take(cell)
    cell.commit(leases, body=b"first")
    before = cell.job("default/j1")

    assert cell.commit(leases, body=b"second") == [ALREADY_KEPT]
    assert (before, b"first") == (cell.job("default/j1"), cell.output("default/j1"))


@either_way
def test_a_commit_sent_again_says_the_event_again(cell: Cell, take: Take) -> None:
    cell.submit("j1")
    leases = take(cell)
    cell.commit(leases)

    cell.commit(leases)

    assert cell.events() == ["default/j1 succeeded"] * 2


@either_way
def test_a_batch_is_one_event(cell: Cell, take: Take) -> None:
    cell.submit("j1")
    cell.submit("j2")
    first, second = take(cell)
    outcomes = [
        Outcome(first, JobStatus.SUCCEEDED, None, b"1"),
        Outcome(second, JobStatus.FAILED, Cause.MODEL, b"{}"),
    ]

    cell.run(cell.store.commit(outcomes, ran_ms=1, result_ttl_s=TTL_S))

    assert cell.events() == ["default/j1 succeeded default/j2 failed"]


@pytest.mark.parametrize("cause", [None, Cause.MODEL])
@pytest.mark.parametrize("is_started", [True, False])
def test_the_end_that_a_submitter_waits_for_is_told_as_it_would_be_read(
    cell: Cell, cause: Cause | None, is_started: bool
) -> None:
    cell.submit("j1", is_awaited=True)
    cell.submit("j2")

    cell.commit(cell.take_and_start() if is_started else cell.take(), body=b'"\xc3\xa4"', cause=cause)

    told = cell.told_ends()
    assert ["default/j1"] == list(told)
    assert (cell.job("default/j1"), cell.output("default/j1")) == read_end("default/j1", told["default/j1"])


@either_way
def test_an_event_tells_ends_of_32_kib_at_most(cell: Cell, take: Take) -> None:
    for job_id in ("j1", "j2", "j3"):
        cell.submit(job_id, is_awaited=True)
    outcomes = [
        Outcome(lease, JobStatus.SUCCEEDED, None, b"x" * size)
        for lease, size in zip(take(cell), (20_000, 20_000, 10), strict=True)
    ]

    cell.run(cell.store.commit(outcomes, ran_ms=1, result_ttl_s=TTL_S))

    assert ["default/j1 succeeded default/j2 succeeded default/j3 succeeded"] == cell.events()
    assert {"default/j1", "default/j3"} == set(cell.told_ends())


def test_only_a_commit_that_ends_a_job_tells_its_end(cell: Cell) -> None:
    cell.submit("canceled", is_awaited=True)
    cell.submit("lost", is_awaited=True)
    leases = cell.take_and_start()
    cell.cancel("default/canceled")
    cell.lapse_leases()
    cell.commit(leases[:1])
    cell.reap()

    cell.commit(leases)

    assert {} == cell.told_ends()


def test_a_result_that_comes_after_the_lease_was_taken_is_refused_and_counted(cell: Cell) -> None:
    cell.submit("j1")
    late = cell.take_and_start()
    cell.lapse_leases()
    cell.reap()

    answers = cell.commit(late)

    assert (answers, cell.stat("late_refused")) == ([REFUSED], 1)
    assert (cell.status("default/j1"), cell.output("default/j1")) == (JobStatus.QUEUED, None)


def test_a_claim_tells_how_many_workers_were_lost_with_a_job(cell: Cell) -> None:
    cell.submit_many(2)
    for _ in range(2):
        cell.take(jobs=1)
        cell.lapse_leases()
        cell.reap()

    jobs = cell.claim().jobs

    assert [("default/j0", 2), ("default/j1", 0)] == [(job.member, job.rescues) for job in jobs]


def test_a_late_result_cannot_replace_the_successors(cell: Cell) -> None:
    cell.submit("j1")
    late = cell.take_and_start(worker="w1")
    cell.lapse_leases()
    cell.reap()
    cell.commit(cell.take_and_start(worker="w2"), body=b"new")

    assert cell.commit(late, body=b"old") == [REFUSED]
    assert cell.output("default/j1") == b"new"


def test_a_result_that_comes_after_the_lease_ran_out_but_before_anybody_took_it_is_kept(cell: Cell) -> None:
    cell.submit("j1")
    leases = cell.take_and_start()
    cell.lapse_leases()

    assert cell.commit(leases) == [KEPT]


def test_a_result_of_a_released_job_is_refused(cell: Cell) -> None:
    cell.submit("j1")
    leases = cell.take_and_start()
    cell.run(cell.store.release(leases))

    assert cell.commit(leases) == [REFUSED]
    assert cell.ready() == ["default/j1"]


def test_a_result_whose_start_was_never_told_is_kept_and_the_attempt_charged(cell: Cell) -> None:
    cell.submit("j1")
    leases = cell.take()

    answers = cell.commit(leases)

    job = cell.job("default/j1")
    assert (answers, job.status) == ([KEPT], JobStatus.SUCCEEDED)
    assert (job.attempts, job.batch_size) == (1, 1)
    assert job.started_ms is not None
    assert job.ended_ms == job.started_ms + 7


def test_a_job_canceled_while_running_ends_canceled_and_its_result_is_discarded(cell: Cell) -> None:
    cell.submit("j1")
    leases = cell.take_and_start()
    assert cell.cancel("default/j1") == JobStatus.CANCELING

    answers = cell.commit(leases)

    assert (answers, cell.status("default/j1")) == ([REFUSED], JobStatus.CANCELED)
    assert (cell.output("default/j1"), cell.events()) == (None, ["default/j1 canceled"])
    assert (cell.redis.zcard(cell.keys.leases), cell.stat("late_refused")) == (0, 0)


def test_what_cannot_be_kept_does_not_keep_its_mates_from_being_kept(cell: Cell) -> None:
    for i in range(4):
        cell.submit(f"j{i}")
    leases = cell.take_and_start()
    cell.redis.delete(cell.keys.job("default/j0"))
    cell.redis.set(cell.keys.job("default/j0"), "not a hash")
    cell.redis.delete(cell.keys.job("default/j1"))

    answers = cell.commit([leases[0], leases[1], stale(leases[2]), leases[3]])

    assert answers == [REFUSED, REFUSED, REFUSED, KEPT]
    assert cell.redis.zrange(cell.keys.quarantine, 0, -1) == [b"default/j0"]


def test_each_of_a_batch_has_an_answer_of_its_own_whichever_way_it_ends(cell: Cell) -> None:
    cell.submit_many(5)
    leases = cell.take()
    cell.cancel("default/j1")
    outcomes = [Outcome(lease, JobStatus.SUCCEEDED, None, lease.member.encode()) for lease in leases]
    outcomes[2] = Outcome(leases[2], JobStatus.FAILED, Cause.INPUT, b"{}")

    answers = cell.run(cell.store.commit(outcomes, ran_ms=1, result_ttl_s=TTL_S))

    assert answers == [KEPT, REFUSED, KEPT, KEPT, KEPT]
    assert [cell.output(f"default/j{i}") for i in (0, 2, 3, 4)] == [b"default/j0", b"{}", b"default/j3", b"default/j4"]


@either_way
@pytest.mark.parametrize("bound", ["deadline_ms", "start_by_ms"])
def test_a_finished_job_has_no_deadline_left(cell: Cell, take: Take, bound: str) -> None:
    cell.submit("j1", **{bound: cell.now_ms() + 60_000})

    cell.commit(take(cell))

    assert cell.redis.zcard(cell.keys.deadlines) == 0


# --- release -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("running", [False, True])
def test_a_released_job_takes_its_old_place_and_is_charged_nothing(cell: Cell, running: bool) -> None:
    for i in range(3):
        cell.submit(f"j{i}")
    leases = cell.take_and_start(jobs=2) if running else cell.take(jobs=2)

    released = cell.run(cell.store.release([leases[1]]))

    job = cell.job("default/j1")
    assert (released, cell.ready()) == (1, ["default/j1", "default/j2"])
    assert (job.status, job.attempts, job.worker, job.claimed_ms) == (JobStatus.QUEUED, 0, None, None)
    assert [str(leases[0]).encode()] == cell.redis.zrange(cell.keys.leases, 0, -1)


def test_a_job_that_is_given_back_for_a_reason_says_it_until_it_runs_again(cell: Cell) -> None:
    cell.submit("j1")
    cell.run(cell.store.release(cell.take_and_start(), reason=Reason.PREEMPTED))

    waiting = cell.job("default/j1")
    cell.take_and_start()

    assert (Reason.PREEMPTED, 0) == (waiting.reason, waiting.attempts)
    assert None is cell.job("default/j1").reason
    assert b"1" == cell.redis.hget(cell.keys.stats, "preempted")


def test_who_gave_a_job_back_can_neither_finish_nor_fail_it(cell: Cell) -> None:
    cell.submit("j1")
    leases = cell.take_and_start()
    cell.run(cell.store.release(leases))

    assert (cell.commit(leases), cell.fail(leases)) == ([REFUSED], [REFUSED])
    assert (cell.ready(), cell.job("default/j1").attempts) == (["default/j1"], 0)


def test_a_release_sent_again_does_nothing(cell: Cell) -> None:
    cell.submit("j1")
    leases = cell.take_and_start()
    cell.run(cell.store.release(leases))
    [again] = cell.take_and_start()

    assert cell.run(cell.store.release(leases)) == 0
    assert (JobStatus.RUNNING, again.fence) == (cell.status("default/j1"), cell.job("default/j1").fence)


def test_a_job_whose_cancellation_was_asked_for_is_not_given_back(cell: Cell) -> None:
    cell.submit("j1")
    leases = cell.take_and_start()
    cell.cancel("default/j1")

    assert cell.run(cell.store.release(leases)) == 0
    assert (cell.ready(), cell.status("default/j1")) == ([], JobStatus.CANCELING)


# --- bell ----------------------------------------------------------------------------------------------------


def test_the_bell_rings_when_a_tenant_gets_its_first_ready_job(cell: Cell) -> None:
    rings = [cell.rings()]
    for tenant in ("a", "a", "b"):
        cell.submit(f"j{len(rings)}", tenant=tenant)
        rings.append(cell.rings())

    assert rings == [0, 1, 1, 2]


def test_the_bell_rings_again_after_the_ready_set_was_emptied(cell: Cell) -> None:
    cell.submit("j1")
    cell.take()

    cell.submit("j2")

    assert cell.rings() == 2


def test_only_the_bell_of_the_jobs_own_group_rings(cell: Cell) -> None:
    cell.submit("j1", tier="spot")

    assert (cell.rings(STANDARD), cell.rings("m@1:spot")) == (0, 1)


def test_claiming_and_committing_ring_nothing(cell: Cell) -> None:
    cell.submit("j1")
    cell.commit(cell.take_and_start())

    assert cell.rings() == 1


def test_a_bell_keeps_one_entry_however_often_it_rings(cell: Cell) -> None:
    for i in range(5):
        cell.submit(f"j{i}")
        cell.take()

    assert cell.redis.xlen(cell.keys.bell(STANDARD)) == 1


def test_a_pass_that_is_told_late_began_when_it_began(cell: Cell) -> None:
    cell.submit("j1")
    leases = cell.take()
    before_ms = cell.now_ms()

    cell.run(cell.store.start(leases, ago_ms=5_000.5))

    assert before_ms - 5_001 <= (cell.job("default/j1").started_ms or 0) <= cell.now_ms() - 5_000
