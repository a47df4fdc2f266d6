"""How much a claim takes: its least, and beyond that a share of what waits, so that nobody hoards."""

import pytest

from headrace.groups import group_of
from headrace.store import CLAIM_SHARE
from headrace.tiers import OFFSET_MS, PRIORITY_LANE, Tier
from tests.integration.script_cell import REF, Cell


@pytest.mark.parametrize(
    ("waiting", "expected"),
    [(5, 5), (10, 10), (10 + CLAIM_SHARE - 1, 10), (10 + CLAIM_SHARE, 11), (10 + 30 * CLAIM_SHARE, 40), (900, 40)],
)
def test_beyond_its_least_a_claim_takes_a_share_of_what_waits_up_to_its_most(
    cell: Cell, waiting: int, expected: int
) -> None:
    cell.submit_many(waiting)

    claimed = cell.claim(jobs=10, most=40)

    assert expected == len(claimed.jobs)


def test_a_claim_that_needs_nothing_takes_a_share_only(cell: Cell) -> None:
    cell.submit_many(3 * CLAIM_SHARE)

    claimed = cell.claim(jobs=0, most=40)

    assert (3, True) == (len(claimed.jobs), claimed.more)


def test_what_waits_is_counted_over_tiers_and_tenants(cell: Cell) -> None:
    for i in range(2 * CLAIM_SHARE):
        cell.submit(f"a{i}", tenant="a", tier=Tier.SPOT)
        cell.submit(f"b{i}", tenant="b", tier=Tier.PRIORITY)

    assert 4 == len(cell.claim(jobs=0, most=40).jobs)


@pytest.mark.parametrize(("ahead", "expected"), [(0, 10), (4, 6), (10, 0), (20, 0)])
def test_what_a_worker_has_ahead_is_part_of_its_share(cell: Cell, ahead: int, expected: int) -> None:
    cell.submit_many(10 * CLAIM_SHARE)

    assert expected == len(cell.claim(jobs=0, most=40, ahead=ahead).jobs)


def test_workers_that_take_shares_leave_something_for_each_other_until_the_end(cell: Cell) -> None:
    cell.submit_many(400)

    sizes = [len(cell.claim(jobs=4, most=100).jobs) for _ in range(20)]

    assert sizes[0] == 4 + 396 // CLAIM_SHARE
    assert sizes == sorted(sizes, reverse=True)


def test_a_ready_set_of_another_type_counts_for_nothing(cell: Cell) -> None:
    cell.submit("j1", tenant="a")
    for i in range(CLAIM_SHARE):
        cell.submit(f"b{i}", tenant="b")
    cell.redis.delete(cell.keys.ready(group_of(REF, Tier.STANDARD), "a"))
    cell.redis.set(cell.keys.ready(group_of(REF, Tier.STANDARD), "a"), "not a sorted set")

    assert ["b/b0"] == [job.member for job in cell.claim(jobs=0, most=40).jobs]


def test_prioritys_lane_is_a_part_of_what_is_really_claimed(cell: Cell) -> None:
    ready = cell.keys.ready(group_of(REF, Tier.SPOT), "default")
    for i in range(2 * PRIORITY_LANE):
        cell.submit(f"spot{i}", tier=Tier.SPOT)
        cell.submit(f"priority{i}", tier=Tier.PRIORITY)
        cell.redis.zincrby(ready, -OFFSET_MS[Tier.SPOT] - 1000, f"default/spot{i}")

    members = [job.member for job in cell.claim(jobs=PRIORITY_LANE, most=1000).jobs]

    assert PRIORITY_LANE + 3 * PRIORITY_LANE // CLAIM_SHARE == len(members)
    assert 1 == sum("priority" in member for member in members)


def test_a_job_with_a_deadline_says_how_long_is_left(cell: Cell) -> None:
    cell.submit("later", deadline_ms=cell.now_ms() + 60_000)
    cell.submit("never")
    cell.submit("past", deadline_ms=cell.now_ms() + 60_000)
    cell.redis.hset(cell.keys.job("default/past"), "d", 1)

    left = {job.member: job.deadline_in_ms for job in cell.claim().jobs}

    assert left["default/never"] is None
    assert 30_000 < (left["default/later"] or 0) <= 60_000
    assert (left["default/past"] or 1) <= 0


@pytest.mark.parametrize(("input_bytes", "reads"), [(10, 2), (1000, 4)])
def test_inputs_are_read_as_many_at_once_as_should_fit_by_those_before(
    cell: Cell, input_bytes: int, reads: int
) -> None:
    cell.submit_many(20, input=b"x" * input_bytes)
    cell.redis.config_resetstat()

    claimed = cell.claim(jobs=20, room=10_000)

    assert min(20, 10_000 // input_bytes) == len(claimed.jobs)
    assert reads == cell.redis.info("commandstats")["cmdstat_mget"]["calls"]
