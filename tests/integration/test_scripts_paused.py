"""Queues that are paused: nobody claims from them, all else goes on, and whoever waits is woken when they go on."""

import time

import pytest

from headrace.groups import group_of
from headrace.jobs import JobStatus
from headrace.queue_store import Pause
from headrace.tiers import Tier
from tests.integration.script_cell import GROUPS, OUTGROWN, REF, SPOT, STANDARD, Cell

OUTGROWN_STANDARD = group_of(REF, Tier.STANDARD, OUTGROWN)


def members(cell: Cell) -> list[str]:
    return [lease.member for lease in cell.take()]


def test_nothing_is_claimed_from_a_queue_that_is_paused_and_what_came_meanwhile_when_it_goes_on(cell: Cell) -> None:
    cell.submit("before")
    cell.pause()

    cell.submit("meanwhile")

    assert members(cell) == []
    cell.resume()
    assert members(cell) == ["default/before", "default/meanwhile"]


def test_other_tiers_of_the_same_model_go_on(cell: Cell) -> None:
    for tier in Tier:
        cell.submit(f"j-{tier}", tier=tier)

    cell.pause(SPOT)

    assert members(cell) == ["default/j-priority", "default/j-standard"]


def test_what_has_outgrown_a_size_is_paused_with_its_queue(cell: Cell) -> None:
    cell.submit("large")
    cell.run(cell.store.release(cell.take(), outgrown_bytes=OUTGROWN))

    cell.pause()

    assert members(cell) == []
    rings = cell.rings(OUTGROWN_STANDARD)
    cell.resume()
    assert rings + 1 == cell.rings(OUTGROWN_STANDARD)
    assert members(cell) == ["default/large"]


def test_what_is_claimed_already_runs_to_its_end_and_what_is_given_back_waits(cell: Cell) -> None:
    for job_id in ("runs", "claimed", "returned"):
        cell.submit(job_id)
    [runs] = cell.take_and_start(jobs=1)
    claimed, returned = cell.take()
    cell.pause()

    cell.run(cell.store.start([claimed]))
    cell.commit([runs, claimed])
    cell.run(cell.store.release([returned]))

    assert [JobStatus.SUCCEEDED] * 2 == [cell.status(lease.member) for lease in (runs, claimed)]
    assert members(cell) == []


def test_nobody_is_told_to_look_again_at_a_queue_that_is_paused(cell: Cell) -> None:
    cell.submit_many(50)
    cell.submit("spot", tier=Tier.SPOT)
    cell.pause()

    claimed = cell.claim(jobs=10)
    empty = cell.claim(jobs=10)

    assert (["default/spot"], False) == ([job.member for job in claimed.jobs], claimed.more)
    assert ([], False, 0) == (empty.jobs, empty.more, empty.come_back_ms)


def test_jobs_that_come_meanwhile_ring_no_more_often_than_usual(cell: Cell) -> None:
    cell.pause()

    cell.submit_many(20)

    assert cell.rings() == 1


def test_whoever_waits_at_the_bell_is_woken_when_the_queue_goes_on_and_only_if_something_waits(cell: Cell) -> None:
    cell.submit("a")
    cell.pause()
    cell.pause(SPOT)
    rings = cell.rings()

    cell.resume()
    cell.resume(SPOT)

    assert (rings + 1, 0) == (cell.rings(), cell.rings(SPOT))


def test_deadlines_pass_and_jobs_are_canceled_as_ever(cell: Cell) -> None:
    cell.submit("late", deadline_ms=cell.now_ms() + 60_000)
    cell.submit("unwanted")
    cell.pause()

    cell.pass_deadlines("default/late")

    assert cell.expire() == 1
    assert cell.cancel("default/unwanted") is JobStatus.CANCELED
    assert cell.ready() == []


def test_tenants_keep_what_they_had_over_a_pause(cell: Cell) -> None:
    cell.submit("a", tenant="a")
    for job_id in ("b", "c"):
        cell.submit(job_id, tenant="b")
    turns = cell.redis.zrange(cell.keys.turn(STANDARD), 0, -1, withscores=True)

    cell.pause()
    cell.claim()
    cell.resume()

    assert turns == cell.redis.zrange(cell.keys.turn(STANDARD), 0, -1, withscores=True)


def test_a_queue_paused_twice_is_paused_since_the_first_time_for_the_last_reason_that_was_given(cell: Cell) -> None:
    first = cell.pause(reason="bad images")
    again = cell.pause()
    other = cell.pause(reason="the sensor is\nbroken: 50 %")

    assert first == again == Pause(first.since_ms, "bad images")
    assert other == Pause(first.since_ms, "the sensor is\nbroken: 50 %")
    assert {STANDARD: other} == cell.run(cell.queues.paused())
    assert abs(first.since_ms - time.time() * 1000) < 60_000


def test_to_resume_what_is_not_paused_changes_nothing(cell: Cell) -> None:
    cell.pause()

    assert [True, False] == [cell.resume(), cell.resume()]
    assert {} == cell.run(cell.queues.paused())


@pytest.mark.parametrize("said", [b"", b"\xff\xfe", b"9" * 400, b"since noon"])
def test_whatever_somebody_else_wrote_there_pauses_a_queue_and_can_be_taken_away(cell: Cell, said: bytes) -> None:
    cell.submit("a")
    cell.redis.hset(cell.keys.paused, STANDARD, said)

    assert members(cell) == []
    assert cell.run(cell.queues.paused())[STANDARD].since_ms == 0
    cell.resume()
    assert members(cell) == ["default/a"]


def test_a_key_of_another_type_pauses_nothing(cell: Cell) -> None:
    cell.submit("a")
    cell.redis.set(cell.keys.paused, "not ours")

    assert members(cell) == ["default/a"]


def test_claims_that_no_rule_touches_ask_for_rules_by_one_command(cell: Cell) -> None:
    cell.submit("a")
    before = _calls(cell)

    cell.claim(groups=GROUPS)

    assert _calls(cell) - before == 1


def _calls(cell: Cell) -> int:
    stats = cell.redis.info("commandstats")
    return int(stats.get("cmdstat_exists", {"calls": 0})["calls"])
