"""Jobs that wait for machines which may be taken away, and are moved for their deadlines."""

from typing import Any

import pytest

from headrace.groups import group_of
from headrace.jobs import JobStatus
from headrace.store_care import Hastened
from headrace.store_work import CommitAnswer
from headrace.tiers import OFFSET_MS, Tier
from tests.integration.script_cell import REF, SPOT, STANDARD, Cell

MEMBER = "default/j1"
PRIORITY = group_of(REF, Tier.PRIORITY)
HOUR_MS = 3_600_000


def submit(cell: Cell, job_id: str = "j1", *, in_ms: int = 30_000, **fields: Any) -> None:
    """A spot job with a deadline."""
    cell.submit(job_id, tier=Tier.SPOT, deadline_ms=cell.now_ms() + in_ms, **fields)


def test_a_job_whose_deadline_is_at_risk_goes_to_another_tier_and_says_when(cell: Cell) -> None:
    submit(cell)
    before = cell.now_ms()

    assert Hastened(1, 0) == cell.hasten()

    job = cell.job(MEMBER)
    assert (Tier.STANDARD, JobStatus.QUEUED) == (job.tier, job.status)
    assert before <= (job.hastened_ms or 0) <= cell.now_ms()
    assert ([], [MEMBER]) == (cell.ready(SPOT), cell.ready(STANDARD))
    assert 1 == cell.stat("hastened")


def test_a_worker_that_serves_the_other_tier_is_woken_and_runs_it(cell: Cell) -> None:
    submit(cell)

    cell.hasten()

    assert 1 == cell.rings(STANDARD)
    claimed = cell.claim(groups=[STANDARD]).jobs
    assert [CommitAnswer.KEPT] == cell.commit([job.lease for job in claimed])


def test_it_is_counted_as_an_arrival_where_it_goes(cell: Cell) -> None:
    submit(cell)

    cell.hasten(tier=Tier.PRIORITY)

    assert 1 == cell.run(cell.store.counts(PRIORITY)).arrived
    groups = cell.run(cell.store.groups())
    assert [SPOT, PRIORITY] == sorted(groups, reverse=True)


@pytest.mark.parametrize("in_ms", [HOUR_MS, 0])
def test_a_job_without_a_near_deadline_stays(cell: Cell, in_ms: int) -> None:
    if in_ms:
        submit(cell, in_ms=in_ms)
    else:
        cell.submit("j1", tier=Tier.SPOT)

    assert Hastened(0, 0) == cell.hasten()

    assert (Tier.SPOT, None) == (cell.job(MEMBER).tier, cell.job(MEMBER).hastened_ms)


def test_how_long_a_job_would_wait_goes_by_how_many_are_before_it(cell: Cell) -> None:
    for i in range(4):
        submit(cell, f"j{i}", in_ms=HOUR_MS + i)

    moved = cell.hasten(each_ms=HOUR_MS / 2, needs_ms=1000).moved

    assert 2 == moved
    assert ["default/j0", "default/j1"] == cell.ready(SPOT)


def test_the_jobs_of_other_tenants_come_between(cell: Cell) -> None:
    for tenant in ("default", "other"):
        for i in range(2):
            submit(cell, f"j{i}", in_ms=HOUR_MS, tenant=tenant)

    cell.hasten(each_ms=0.6 * HOUR_MS, needs_ms=1000, limit=2)

    assert ["default/j0"] == cell.ready(SPOT)


def test_a_job_that_is_late_anyway_stays(cell: Cell) -> None:
    submit(cell, in_ms=30_000)

    assert 0 == cell.hasten(least_ms=50_000).moved


@pytest.mark.parametrize("tier", [Tier.STANDARD, Tier.PRIORITY])
def test_jobs_of_other_tiers_stay(cell: Cell, tier: Tier) -> None:
    cell.submit("j1", tier=tier, deadline_ms=cell.now_ms() + 30_000)

    assert 0 == cell.hasten(tier=Tier.SPOT).moved
    assert tier is cell.job(MEMBER).tier


def test_a_job_that_a_worker_has_or_that_is_delayed_stays(cell: Cell) -> None:
    submit(cell, "held")
    cell.take()
    submit(cell, "delayed", not_before_ms=cell.now_ms() + 20_000)

    assert 0 == cell.hasten().moved


def test_what_a_worker_gives_back_is_moved_then(cell: Cell) -> None:
    submit(cell)
    leases = cell.take_and_start()
    cell.run(cell.store.release(leases))

    assert 1 == cell.hasten().moved
    assert 0 == cell.job(MEMBER).attempts


def test_its_place_is_its_latest_start_so_that_no_urgent_job_is_overtaken_before(cell: Cell) -> None:
    submit(cell, in_ms=40_000)
    submit(cell, "far", in_ms=2 * HOUR_MS)

    cell.hasten(tier=Tier.PRIORITY, needs_ms=3 * HOUR_MS, least_ms=10_000)
    cell.submit("urgent", tier=Tier.PRIORITY)

    near, far = cell.job(MEMBER), cell.job("default/far")
    assert (near.deadline_ms or 0) - 10_000 == near.score
    assert far.created_ms + OFFSET_MS[Tier.SPOT] <= far.score < far.created_ms + OFFSET_MS[Tier.SPOT] + 1
    assert ["default/urgent", MEMBER, "default/far"] == [job.member for job in cell.claim().jobs]


def test_no_more_are_moved_at_once_than_may_be_and_the_rest_the_next_time(cell: Cell) -> None:
    for i in range(5):
        submit(cell, f"j{i}", in_ms=30_000 + i)

    first = cell.hasten(most=2)
    second = cell.hasten(most=2, cursor=first.cursor)
    third = cell.hasten(most=2, cursor=second.cursor)

    assert [Hastened(2, 2), Hastened(2, 4), Hastened(1, 0)] == [first, second, third]


def test_it_looks_at_a_stretch_of_the_near_deadlines_at_a_time(cell: Cell) -> None:
    for i in range(3):
        cell.submit(f"j{i}", deadline_ms=cell.now_ms() + 10_000)
    submit(cell, "last")

    first = cell.hasten(limit=3)

    assert Hastened(0, 3) == first
    assert Hastened(1, 0) == cell.hasten(limit=3, cursor=first.cursor)


def test_a_broken_record_stops_nobody(cell: Cell) -> None:
    submit(cell, "broken", in_ms=20_000)
    submit(cell)
    cell.redis.set(cell.keys.job("default/broken"), "not a hash")

    assert 1 == cell.hasten().moved
