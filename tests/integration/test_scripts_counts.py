"""What is counted of each group: for whoever watches it or scales by it."""

import pytest

from headrace.groups import group_of
from headrace.jobs import Cause, JobStatus
from headrace.store_views import QueueCounts
from headrace.tiers import Tier
from tests.integration.script_cell import REF, STANDARD, Cell

SPOT = group_of(REF, Tier.SPOT)


def counts(cell: Cell, group: str = STANDARD) -> QueueCounts:
    return cell.run(cell.store.counts(group))


def test_a_group_that_nothing_came_to_counts_nothing(cell: Cell) -> None:
    assert QueueCounts(0, 0, 0, 0, 0, 0, 0) == counts(cell)
    assert counts(cell).recent_wait_ms(cell.now_ms()) is None


def test_every_accepted_job_is_an_arrival_of_its_group(cell: Cell) -> None:
    cell.submit("a")
    cell.submit("b", not_before_ms=cell.now_ms() + 60_000)
    cell.submit("c", tier=Tier.SPOT)

    assert [2, 1] == [counts(cell).arrived, counts(cell, SPOT).arrived]


def test_what_is_refused_or_sent_again_is_no_arrival(cell: Cell) -> None:
    cell.submit("a", idempotency_key="k", request_hash="h")
    cell.submit("a", idempotency_key="k", request_hash="h")
    cell.submit("a")
    cell.submit("b", cap=1)

    assert counts(cell).arrived == 1


def test_a_batch_is_shared_out_among_its_groups(cell: Cell) -> None:
    for i in range(3):
        cell.submit(f"a{i}")
    cell.submit("b", tier=Tier.SPOT)

    cell.commit(cell.take_and_start())

    assert [3, 1] == [counts(cell).ended, counts(cell, SPOT).ended]
    assert [7 * 3 / 4, 7 / 4] == [counts(cell).run_ms, counts(cell, SPOT).run_ms]


def test_a_wait_lasts_from_ready_to_begun(cell: Cell) -> None:
    cell.submit("a")
    leases = cell.take_and_start()
    began_ms = cell.now_ms()
    cell.redis.hset(cell.keys.job("default/a"), mapping={"q": began_ms - 500, "b": began_ms})

    cell.commit(leases)

    assert counts(cell).wait_ms == 500
    assert counts(cell).recent_wait_ms(cell.now_ms()) == 500


def test_each_job_of_a_brief_pass_has_waited_since_it_came_itself(cell: Cell) -> None:
    cell.submit_many(3)
    leases = cell.take()
    for job_id, ago_ms in (("j0", 2_000), ("j1", 1_000), ("j2", 1_000)):
        cell.redis.hset(cell.keys.job(f"default/{job_id}"), "q", cell.now_ms() - ago_ms)

    cell.commit(leases)

    assert counts(cell).wait_ms == pytest.approx(4_000, abs=1_000)


def test_the_time_before_a_job_may_start_is_no_wait(cell: Cell) -> None:
    cell.submit("a", not_before_ms=cell.now_ms() + 60_000)
    cell.lapse_delays()
    cell.run(cell.store.promote(limit=10))

    cell.commit(cell.take_and_start())

    assert counts(cell).wait_ms == 0


def test_a_commit_sent_again_counts_once(cell: Cell) -> None:
    cell.submit("a")
    leases = cell.take_and_start()

    cell.commit(leases)
    cell.commit(leases)

    assert counts(cell).ended == 1


def test_recent_waits_fade(cell: Cell) -> None:
    cell.redis.hset(
        cell.keys.queue(STANDARD),
        mapping={"lately": 1, "lately_wait_ms": 9_000, "at": cell.now_ms() - 300_000},
    )
    cell.submit("a")

    cell.commit(cell.take_and_start())

    assert counts(cell).recent_wait_ms(cell.now_ms()) == pytest.approx(0, abs=50)
    assert counts(cell).recent_wait_ms(cell.now_ms() + 120_000) is None


def test_a_key_that_is_none_of_ours_stops_nothing(cell: Cell) -> None:
    cell.redis.set(cell.keys.queue(STANDARD), "somebody's")

    cell.submit("a")
    cell.commit(cell.take_and_start())

    assert cell.status("default/a") == "succeeded"


def test_failures_are_counted_but_for_those_of_the_input(cell: Cell) -> None:
    cell.submit_many(5, max_attempts=1)
    good, bad, refused, given_up, lost = cell.take_and_start()
    cell.commit([good])
    cell.commit([bad], cause=Cause.MODEL)
    cell.commit([refused], cause=Cause.INPUT)
    cell.fail([given_up])
    cell.lapse_leases()
    cell.reap()

    assert {JobStatus.FAILED} == {cell.status(lease.member) for lease in (bad, refused, given_up, lost)}
    assert counts(cell).failed == 3
