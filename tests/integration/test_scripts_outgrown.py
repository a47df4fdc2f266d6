"""Jobs that have outgrown a size of workers: only larger ones claim them, whatever else becomes of them."""

from collections.abc import Callable

import pytest

from headrace.groups import group_of
from headrace.jobs import JobStatus, Reason
from headrace.store_care import Swept
from headrace.store_work import CommitAnswer, Outcome
from headrace.tiers import Tier
from tests.integration.script_cell import ALL_GROUPS, GROUPS, OUTGROWN, REF, STANDARD, TTL_S, Cell

MEMBER = "default/j1"
LARGER = group_of(REF, Tier.STANDARD, OUTGROWN)


@pytest.fixture
def outgrown(cell: Cell) -> Cell:
    """A job that ran out of memory once waits, and an ordinary one behind it."""
    cell.submit("j1")
    cell.fail(cell.take_and_start(), outgrown_bytes=OUTGROWN)
    cell.submit("j2")
    return cell


def claimed(cell: Cell, *groups: str) -> list[str]:
    return [job.member for job in cell.claim(groups=groups).jobs]


def test_a_job_that_ran_out_of_memory_is_charged_and_waits_for_a_larger_worker(outgrown: Cell) -> None:
    job = outgrown.job(MEMBER)

    assert (JobStatus.QUEUED, 1, OUTGROWN) == (job.status, job.attempts, job.outgrown_bytes)
    assert Reason.NEEDS_LARGER_WORKER == job.reason
    assert (["default/j2"], [MEMBER]) == (outgrown.ready(), outgrown.ready(LARGER))


def test_others_pass_it_by_and_a_larger_worker_takes_it_first(outgrown: Cell) -> None:
    assert ["default/j2"] == claimed(outgrown, *GROUPS)

    outgrown.submit("j3")

    assert [MEMBER, "default/j3"] == claimed(outgrown, *ALL_GROUPS)


def test_larger_workers_are_rung_for(cell: Cell) -> None:
    cell.submit("j1")

    cell.fail(cell.take_and_start(), outgrown_bytes=OUTGROWN)

    assert 1 == cell.rings(LARGER)
    assert LARGER in cell.run(cell.store.groups())


def test_without_an_attempt_left_it_has_failed(cell: Cell) -> None:
    cell.submit("j1", max_attempts=1)

    assert [CommitAnswer.KEPT] == cell.fail(cell.take_and_start(), outgrown_bytes=OUTGROWN)

    assert JobStatus.FAILED is cell.status(MEMBER)
    assert [] == claimed(cell, *ALL_GROUPS)


def test_what_was_not_run_is_given_to_larger_workers_uncharged(cell: Cell) -> None:
    cell.submit("j1")

    cell.run(cell.store.release(cell.take(), reason=Reason.NEEDS_LARGER_WORKER, outgrown_bytes=OUTGROWN))

    job = cell.job(MEMBER)
    assert (0, OUTGROWN, "needs_larger_worker") == (job.attempts, job.outgrown_bytes, job.reason)
    assert [] == claimed(cell, *GROUPS)
    assert [MEMBER] == claimed(cell, *ALL_GROUPS)


def given_back(cell: Cell) -> None:
    cell.run(cell.store.release(cell.take(jobs=1)))


def reaped(cell: Cell) -> None:
    cell.take(jobs=1)
    cell.lapse_leases()
    cell.reap()


def failed_otherwise(cell: Cell) -> None:
    cell.fail(cell.take(jobs=1))


def tried_again_later(cell: Cell) -> None:
    cell.fail(cell.take(jobs=1), backoff_ms=60_000)
    cell.lapse_delays()
    cell.run(cell.store.promote(limit=10))


def lost_from_the_set(cell: Cell) -> None:
    cell.redis.delete(cell.keys.ready(LARGER, "default"), cell.keys.turn(LARGER))
    assert Swept(0, 0, 1) == cell.sweep()


@pytest.mark.parametrize("happens", [given_back, reaped, failed_otherwise, tried_again_later, lost_from_the_set])
def test_however_it_comes_back_it_stays_with_larger_workers(outgrown: Cell, happens: Callable[[Cell], None]) -> None:
    happens(outgrown)

    assert (["default/j2"], [MEMBER]) == (outgrown.ready(), outgrown.ready(LARGER))
    assert Swept(0, 0, 0) == outgrown.sweep()


def canceled(cell: Cell) -> None:
    assert JobStatus.CANCELED is cell.cancel(MEMBER)


def erased(cell: Cell) -> None:
    assert "erased" == cell.erase(MEMBER)


def expired(cell: Cell) -> None:
    cell.amend(MEMBER, deadline_ms=cell.now_ms() + 60_000)
    cell.pass_deadlines(MEMBER)
    cell.expire()


@pytest.mark.parametrize("happens", [canceled, erased, expired])
def test_its_end_leaves_nothing_behind(outgrown: Cell, happens: Callable[[Cell], None]) -> None:
    happens(outgrown)

    assert 0 == outgrown.redis.exists(outgrown.keys.ready(LARGER, "default"), outgrown.keys.turn(LARGER))
    assert ["default/j2"] == claimed(outgrown, *ALL_GROUPS)


def test_in_another_tier_it_still_waits_for_a_larger_worker(outgrown: Cell) -> None:
    assert "amended" == outgrown.amend(MEMBER, tier=Tier.SPOT)

    assert ([], [MEMBER]) == (outgrown.ready(LARGER), outgrown.ready(group_of(REF, Tier.SPOT, OUTGROWN)))


def test_what_is_urgent_keeps_its_lane_on_larger_workers(cell: Cell) -> None:
    cell.submit_many(8, tier=Tier.STANDARD)
    cell.submit("urgent", tier=Tier.PRIORITY)
    cell.fail(cell.take_and_start(jobs=1), outgrown_bytes=OUTGROWN)
    cell.redis.zadd(cell.keys.ready(group_of(REF, Tier.PRIORITY, OUTGROWN), "default"), {"default/urgent": 1e15})

    found = [job.member for job in cell.claim(groups=ALL_GROUPS, jobs=4).jobs]

    assert "default/urgent" == found[0]


def turns(cell: Cell, group: str) -> dict[str, float]:
    return {tenant.decode(): had for tenant, had in cell.redis.zrange(cell.keys.turn(group), 0, -1, withscores=True)}


def test_what_was_charged_ahead_is_set_right_where_it_was_charged(cell: Cell) -> None:
    cell.submit_many(3)
    cell.fail(cell.take_and_start(), outgrown_bytes=OUTGROWN)
    cell.submit("ordinary")
    before = turns(cell, STANDARD)

    [job] = cell.claim(groups=[LARGER], jobs=1).jobs
    ahead = turns(cell, LARGER)
    outcome = Outcome(job.lease, JobStatus.SUCCEEDED, None, b"1", 4.0)
    cell.run(cell.store.commit([outcome], ran_ms=4.0, result_ttl_s=TTL_S))

    assert {"default": ahead["default"] + 3} == turns(cell, LARGER)
    assert before == turns(cell, STANDARD) != {}


def test_larger_workers_serve_first_whoever_had_least_of_them(cell: Cell) -> None:
    """Who ran long jobs there is not let in again because ordinary ones were short."""
    for tenant in ("a", "b"):
        for number in range(4):
            cell.submit(f"j{number}", tenant=tenant)
    cell.fail(cell.take_and_start(), outgrown_bytes=OUTGROWN)

    order = []
    while jobs := cell.claim(groups=[LARGER], jobs=1).jobs:
        order.append(jobs[0].member[0])
        costs_ms = 300.0 if order[-1] == "a" else 100.0
        outcome = Outcome(jobs[0].lease, JobStatus.SUCCEEDED, None, b"1", costs_ms)
        cell.run(cell.store.commit([outcome], ran_ms=costs_ms, result_ttl_s=TTL_S))

    assert ["a", "b", "b", "b"] == order[:4]


def test_the_counts_are_those_of_all_jobs_of_the_tier(outgrown: Cell) -> None:
    jobs = outgrown.claim(groups=ALL_GROUPS).jobs

    outgrown.commit([job.lease for job in jobs])

    assert 2 == len(jobs) == outgrown.run(outgrown.store.counts(group_of(REF, Tier.STANDARD))).ended
    assert 0 == outgrown.redis.exists(outgrown.keys.queue(LARGER))
