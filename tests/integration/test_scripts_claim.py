"""Claiming: the order of service, the limits, and what is broken staying out of the way."""

from collections.abc import Callable
from typing import Any

import pytest

from headrace.groups import group_of
from headrace.jobs import JobStatus
from headrace.tiers import OFFSET_MS, PRIORITY_LANE, Tier
from tests.integration.script_cell import GROUPS, REF, STANDARD, Cell


def claimed_ids(cell: Cell, *, jobs: int = 10, room: int = 10**6) -> list[str]:
    return [job.member for job in cell.claim(jobs=jobs, room=room).jobs]


def test_a_claimed_job_is_leased_and_no_longer_ready(cell: Cell) -> None:
    cell.submit("j1", input=b'"in"', max_attempts=4)

    [job] = cell.claim(worker="w7").jobs

    told_of_some = ("", 0, None, None, b"", None, False, None)
    assert ("default/j1", job.fence, 0, 4, GROUPS.index(STANDARD), b'"in"', *told_of_some) == tuple(job)
    assert [str(job.lease).encode()] == cell.redis.zrange(cell.keys.leases, 0, -1)
    assert cell.ready() == []
    assert ("w7", job.fence, JobStatus.QUEUED) == (
        cell.job(job.member).worker,
        cell.job(job.member).fence,
        cell.status(job.member),
    )


def test_a_lease_runs_as_long_as_asked(cell: Cell) -> None:
    cell.submit("j1")
    before_ms = cell.now_ms()

    [lease] = cell.take()

    expiry_ms = cell.redis.zscore(cell.keys.leases, str(lease))
    assert before_ms + 60_000 <= expiry_ms <= cell.now_ms() + 60_000


def test_within_a_tier_the_oldest_comes_first(cell: Cell) -> None:
    for i in range(4):
        cell.submit(f"j{i}")

    assert [f"default/j{i}" for i in range(4)] == claimed_ids(cell)


def test_a_more_urgent_tier_comes_first(cell: Cell) -> None:
    for tier in (Tier.SPOT, Tier.STANDARD, Tier.PRIORITY):
        cell.submit(f"{tier}", tier=tier)

    assert claimed_ids(cell) == ["default/priority", "default/standard", "default/spot"]


def test_a_waiting_job_is_overtaken_only_for_as_long_as_the_tiers_lie_apart(cell: Cell) -> None:
    cell.submit("spot", tier=Tier.SPOT)
    cell.submit("priority", tier=Tier.PRIORITY)
    ready = cell.keys.ready(group_of(REF, Tier.SPOT), "default")
    cell.redis.zincrby(ready, -OFFSET_MS[Tier.SPOT] - 1000, "default/spot")

    assert claimed_ids(cell, jobs=2) == ["default/spot", "default/priority"]


def test_of_each_claim_some_places_are_kept_for_priority_however_old_the_others_are(cell: Cell) -> None:
    submit_aged_spot_and_priority(cell)

    ids = claimed_ids(cell, jobs=2 * PRIORITY_LANE)

    assert [2, 6] == [sum(name in member for member in ids) for name in ("priority", "spot")]
    assert ids[:2] == ["default/priority0", "default/priority1"]


def test_what_has_waited_longer_than_its_offset_is_served_however_much_priority_waits(cell: Cell) -> None:
    submit_aged_spot_and_priority(cell)

    ids = claimed_ids(cell, jobs=PRIORITY_LANE - 1)

    assert ids == ["default/spot0", "default/spot1", "default/spot2"]


def submit_aged_spot_and_priority(cell: Cell) -> None:
    ready = cell.keys.ready(group_of(REF, Tier.SPOT), "default")
    for i in range(10):
        cell.submit(f"spot{i}", tier=Tier.SPOT)
        cell.submit(f"priority{i}", tier=Tier.PRIORITY)
        cell.redis.zincrby(ready, -OFFSET_MS[Tier.SPOT] - 1000, f"default/spot{i}")


def test_tenants_take_turns_whoever_came_first(cell: Cell) -> None:
    for i in range(4):
        cell.submit(f"a{i}", tenant="a")
    for i in range(2):
        cell.submit(f"b{i}", tenant="b")

    order = [claimed_ids(cell, jobs=1)[0] for _ in range(6)]

    assert sum(member.startswith("b/") for member in order[:4]) == 2
    assert [member for member in order if member.startswith("a/")] == ["a/a0", "a/a1", "a/a2", "a/a3"]


def test_one_large_claim_shares_as_many_small_ones_do(cell: Cell) -> None:
    for i in range(6):
        cell.submit(f"a{i}", tenant="a")
    for i in range(6):
        cell.submit(f"b{i}", tenant="b")

    members = claimed_ids(cell, jobs=6)

    assert sum(member.startswith("a/") for member in members) == 3


def test_a_tenant_that_was_idle_has_saved_nothing_up(cell: Cell) -> None:
    for i in range(10):
        cell.submit(f"a{i}", tenant="a")
    claimed_ids(cell, jobs=6)
    for i in range(4):
        cell.submit(f"b{i}", tenant="b")

    members = claimed_ids(cell, jobs=4)

    assert sum(member.startswith("b/") for member in members) == 2


def test_no_more_jobs_than_asked_for(cell: Cell) -> None:
    for i in range(5):
        cell.submit(f"j{i}")

    claimed = cell.claim(jobs=3)

    assert (len(claimed.jobs), claimed.more) == (3, True)


def test_the_last_claim_says_that_nothing_is_left(cell: Cell) -> None:
    cell.submit("j1")

    assert not cell.claim().more


def test_inputs_beyond_the_room_stay_where_they_are(cell: Cell) -> None:
    for i in range(3):
        cell.submit(f"j{i}", input=b"x" * 100)

    claimed = cell.claim(room=250)

    assert ([job.member for job in claimed.jobs], claimed.more) == (["default/j0", "default/j1"], True)
    assert cell.ready() == ["default/j2"]


def test_at_least_one_job_is_claimed_however_large(cell: Cell) -> None:
    cell.submit("j1", input=b"x" * 100)

    assert claimed_ids(cell, room=1) == ["default/j1"]


def test_only_the_groups_asked_for_are_claimed_from(cell: Cell) -> None:
    cell.submit("j1", tier=Tier.SPOT)

    claimed = cell.claim(groups=[STANDARD])

    assert (claimed.jobs, claimed.more) == ([], False)


def test_a_claim_of_thousands_of_jobs_fits(cell: Cell) -> None:
    cell.submit_many(5000)

    claimed = cell.claim(jobs=5000)

    assert len({job.member for job in claimed.jobs}) == 5000
    assert cell.redis.zcard(cell.keys.leases) == 5000
    assert not cell.redis.exists(cell.keys.ready(STANDARD, "default"), cell.keys.turn(STANDARD))


def test_an_empty_claim_tells_when_the_next_delayed_job_is_due(cell: Cell) -> None:
    cell.submit("j1", not_before_ms=cell.now_ms() + 5_000)

    assert 3_000 < cell.claim().come_back_ms <= 5_000


def test_an_empty_claim_without_delayed_jobs_names_no_time(cell: Cell) -> None:
    assert cell.claim().come_back_ms == 0


def test_a_delayed_job_that_is_overdue_calls_nobody_back_at_once(cell: Cell) -> None:
    cell.submit("j1", not_before_ms=cell.now_ms() + 5_000)
    cell.lapse_delays()

    assert cell.claim().come_back_ms == 100


def _wrong_type(cell: Cell, member: str) -> None:
    cell.redis.delete(cell.keys.job(member))
    cell.redis.set(cell.keys.job(member), "not a hash")


def _list_instead(cell: Cell, member: str) -> None:
    cell.redis.delete(cell.keys.job(member))
    cell.redis.rpush(cell.keys.job(member), "not a hash")


def _field(name: str, value: str | None) -> Callable[[Cell, str], None]:
    def spoil(cell: Cell, member: str) -> None:
        if value is None:
            cell.redis.hdel(cell.keys.job(member), name)
        else:
            cell.redis.hset(cell.keys.job(member), name, value)

    return spoil


def _input_gone(cell: Cell, member: str) -> None:
    cell.redis.delete(cell.keys.input(member))


def _input_of_wrong_type(cell: Cell, member: str) -> None:
    _input_gone(cell, member)
    cell.redis.sadd(cell.keys.input(member), "not a string")


SPOILED = {
    "record is a string": _wrong_type,
    "record is a list": _list_instead,
    "no state": _field("s", None),
    "unknown state": _field("s", "melting"),
    "no fence": _field("f", None),
    "fence is a word": _field("f", "soon"),
    "no attempts": _field("a", None),
    "attempts are a word": _field("a", "many"),
    "no attempts allowed": _field("n", None),
    "input gone": _input_gone,
    "input is a set": _input_of_wrong_type,
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED.keys())
def test_what_is_broken_is_set_apart_and_the_others_are_served(cell: Cell, spoil: Callable[[Cell, str], None]) -> None:
    for i in range(3):
        cell.submit(f"j{i}")
    spoil(cell, "default/j0")

    claimed = cell.claim()

    assert [job.member for job in claimed.jobs] == ["default/j1", "default/j2"]
    assert cell.redis.zrange(cell.keys.quarantine, 0, -1) == [b"default/j0"]
    assert (cell.stat("quarantined"), cell.ready(), claimed.more) == (1, [], False)


def test_a_ready_entry_without_a_record_is_dropped(cell: Cell) -> None:
    cell.submit("j1")
    cell.submit("j2")
    cell.redis.delete(cell.keys.job("default/j1"))

    assert claimed_ids(cell) == ["default/j2"]
    assert (cell.ready(), cell.redis.zcard(cell.keys.quarantine)) == ([], 0)


def test_a_ready_entry_of_a_finished_job_is_dropped(cell: Cell) -> None:
    cell.submit("j1")
    cell.commit(cell.take_and_start())
    cell.redis.zadd(cell.keys.ready(STANDARD, "default"), {"default/j1": 1})
    cell.redis.zadd(cell.keys.turn(STANDARD), {"default": 0})

    claimed = cell.claim()

    assert (claimed.jobs, claimed.more, cell.ready()) == ([], False, [])
    assert cell.status("default/j1") == JobStatus.SUCCEEDED


def test_a_ready_set_of_another_type_makes_no_worker_come_again_and_again(cell: Cell) -> None:
    cell.submit("j1", tenant="a")
    cell.submit("j2", tenant="b")
    cell.redis.delete(cell.keys.ready(STANDARD, "a"))
    cell.redis.set(cell.keys.ready(STANDARD, "a"), "not a sorted set")

    first, second = cell.claim(), cell.claim()

    assert ([job.member for job in first.jobs], first.more) == (["b/j2"], False)
    assert (second.jobs, second.more) == ([], False)


def test_a_turn_of_another_type_hides_no_other_group(cell: Cell) -> None:
    cell.submit("j1", tier=Tier.SPOT)
    cell.redis.set(cell.keys.turn(STANDARD), "not a sorted set")

    assert claimed_ids(cell) == ["default/j1"]


def test_a_fence_always_rises_also_when_the_clock_does_not(cell: Cell) -> None:
    cell.submit("j1")
    ahead = (cell.now_ms() + 3_600_000) * 1000
    cell.redis.hset(cell.keys.job("default/j1"), "f", ahead)

    [lease] = cell.take()

    assert ahead + 1 == lease.fence


@pytest.mark.parametrize("asked", [{}, {"retry_on": ()}], ids=["plain", "not plain"])
def test_a_server_that_forgot_a_claim_gives_another_fence(cell: Cell, asked: dict[str, Any]) -> None:
    cell.submit("j1", **asked)
    before = cell.redis.dump(cell.keys.job("default/j1"))
    [first] = cell.take()
    cell.redis.restore(cell.keys.job("default/j1"), 0, before, replace=True)
    cell.redis.zadd(cell.keys.ready(STANDARD, "default"), {"default/j1": 1})
    cell.redis.zadd(cell.keys.turn(STANDARD), {"default": 0})

    [second] = cell.take()

    assert second.fence > first.fence


def test_a_job_whose_bounds_cannot_be_read_is_set_apart_and_not_run_without_them(cell: Cell) -> None:
    cell.submit("broken", run_timeout_s=2.5)
    cell.submit("whole")
    cell.redis.hset(cell.keys.job("default/broken"), "L", "soon")

    claimed = cell.claim().jobs

    assert ["default/whole"] == [job.member for job in claimed]
    assert cell.redis.zrange(cell.keys.quarantine, 0, -1) == [b"default/broken"]


def test_a_claimed_job_says_how_long_its_pass_may_take(cell: Cell) -> None:
    cell.submit("any")
    cell.submit("short", run_timeout_s=2.5)

    claimed = cell.claim().jobs

    assert [("default/any", None), ("default/short", 2.5)] == [(job.member, job.run_timeout_s) for job in claimed]
