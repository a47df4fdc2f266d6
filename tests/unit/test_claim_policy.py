"""How many jobs to claim, of which tiers, and when."""

import pytest

from headrace.store_work import ClaimSize
from headrace.tiers import PRIORITY_LANE
from workers.claim_policy import NOTHING, ClaimPlan, ClaimPolicy, RunningPass, Staged, Window

ROOM = 1000
IDLE = Staged(0, 0, 0)
BATCH = Window(64, 64)
WIDE = Window(64, 512)
RUNNING = RunningPass(number=7, began=10.0, ends_at=10.1)


def make_policy() -> ClaimPolicy:
    return ClaimPolicy(lead_s=0.003, most_bytes=ROOM)


def test_an_idle_worker_claims_a_batch_at_once_and_a_share_of_what_it_may_choose_from() -> None:
    plan = make_policy().plan(staged=IDLE, window=WIDE, running=None, now=10.0)

    assert ClaimPlan(ClaimSize(64, 512, ROOM), is_idle=True) == plan


def test_a_busy_worker_claims_a_lead_before_its_pass_ends() -> None:
    plan = make_policy().plan(staged=IDLE, window=BATCH, running=RUNNING, now=10.0)

    assert ClaimSize(64, 64, ROOM) == plan.size
    assert pytest.approx(0.097) == plan.wait_s


def test_a_longer_way_to_the_child_is_claimed_for_earlier_at_once_and_unlearned_slowly() -> None:
    policy = make_policy()

    policy.trip_took(0.010)
    after_a_long_trip = policy.plan(staged=IDLE, window=BATCH, running=RUNNING, now=10.0).wait_s
    policy.trip_took(0.005)
    after_a_short_one = policy.plan(staged=IDLE, window=BATCH, running=RUNNING, now=10.0).wait_s

    assert pytest.approx(0.087) == after_a_long_trip
    assert pytest.approx(0.088) == after_a_short_one


def test_a_model_that_was_idle_gets_its_next_jobs_earlier_by_as_much() -> None:
    policy = make_policy()

    policy.idled(0.020, pass_s=0.1)

    assert pytest.approx(0.077) == policy.plan(staged=IDLE, window=BATCH, running=RUNNING, now=10.0).wait_s


def test_the_head_start_is_never_longer_than_a_pass() -> None:
    policy = make_policy()
    for _ in range(10):
        policy.idled(0.020, pass_s=0.05)

    assert pytest.approx(0.047) == policy.plan(staged=IDLE, window=BATCH, running=RUNNING, now=10.0).wait_s


def test_passes_without_idleness_take_the_head_start_back_slowly() -> None:
    policy = make_policy()
    policy.idled(0.020, pass_s=0.1)

    for _ in range(100):
        policy.idled(0.0005, pass_s=0.1)

    assert 0.094 < policy.plan(staged=IDLE, window=BATCH, running=RUNNING, now=10.0).wait_s < 0.097


@pytest.mark.parametrize("ends_at", [10.003, 10.0, 9.0])
def test_a_pass_that_ends_within_the_lead_is_not_waited_for(ends_at: float) -> None:
    running = RunningPass(7, 9.0, ends_at)

    plan = make_policy().plan(staged=IDLE, window=BATCH, running=running, now=10.0)

    assert (64, 0.0) == (plan.size.least, plan.wait_s)


def test_only_the_room_of_the_window_is_filled() -> None:
    plan = make_policy().plan(staged=Staged(60, 100, 0), window=WIDE, running=None, now=10.0)

    assert ClaimSize(4, 452, ROOM - 100) == plan.size


@pytest.mark.parametrize("jobs", [64, 100])
def test_nothing_is_claimed_while_nothing_runs_and_a_whole_batch_is_staged(jobs: int) -> None:
    assert NOTHING == make_policy().plan(staged=Staged(jobs, 0, 0), window=WIDE, running=None, now=10.0)


@pytest.mark.parametrize("running", [None, RUNNING])
def test_nothing_is_claimed_for_the_window_while_enough_bytes_are_staged(running: RunningPass | None) -> None:
    plan = make_policy().plan(staged=Staged(1, ROOM, 0), window=BATCH, running=running, now=10.0)

    assert NOTHING == plan or plan.is_urgent


def test_without_a_model_nothing_is_claimed() -> None:
    assert NOTHING == make_policy().plan(staged=IDLE, window=Window(0, 0), running=None, now=10.0)


def test_beyond_a_batch_the_window_is_filled_once_a_pass() -> None:
    policy = make_policy()
    staged = Staged(100, 0, PRIORITY_LANE * 64)

    first = policy.plan(staged=staged, window=WIDE, running=RUNNING, now=10.0)
    policy.claimed(first)
    again = policy.plan(staged=staged, window=WIDE, running=RUNNING, now=10.0)
    in_the_next_pass = policy.plan(staged=staged, window=WIDE, running=RUNNING._replace(number=8), now=10.0)

    assert ClaimSize(0, 412, ROOM, ahead=36) == first.size
    assert NOTHING == again
    assert first.size == in_the_next_pass.size


def test_a_full_window_is_no_reason_not_to_look_for_urgent_jobs_just_before_the_end() -> None:
    policy = make_policy()
    policy.idled(0.050, pass_s=0.1)
    lane = 64 // PRIORITY_LANE

    plan = policy.plan(staged=Staged(512, 0, 3), window=WIDE, running=RUNNING, now=10.0)

    assert (True, ClaimSize(lane - 3, lane - 3, ROOM)) == (plan.is_urgent, plan.size)
    assert pytest.approx(0.097) == plan.wait_s


def test_one_look_for_urgent_jobs_a_pass() -> None:
    policy = make_policy()
    staged = Staged(512, 0, 0)

    policy.claimed(policy.plan(staged=staged, window=WIDE, running=RUNNING, now=10.0))

    assert NOTHING == policy.plan(staged=staged, window=WIDE, running=RUNNING, now=10.0)
    assert policy.plan(staged=staged, window=WIDE, running=RUNNING._replace(number=8), now=10.0).is_urgent


@pytest.mark.parametrize(
    ("urgent", "pass_s"),
    [pytest.param(16, 0.1, id="enough urgent jobs are staged"), pytest.param(0, 0.005, id="the pass is short")],
)
def test_nobody_looks_for_urgent_jobs_in_vain(urgent: int, pass_s: float) -> None:
    running = RUNNING._replace(ends_at=RUNNING.began + pass_s)

    plan = make_policy().plan(staged=Staged(512, 0, urgent), window=WIDE, running=running, now=10.0)

    assert NOTHING == plan


def test_a_claim_that_comes_too_late_for_the_next_pass_is_for_the_one_after_it() -> None:
    policy = make_policy()
    policy.trip_took(0.010)

    plan = policy.plan(staged=Staged(32, 0, 0), window=BATCH, running=RUNNING, now=10.095)

    assert ClaimSize(64, 64, ROOM) == plan.size
    assert pytest.approx(0.2 - 0.095 - 0.003 - 0.010) == plan.wait_s


def test_between_passes_shorter_than_the_way_to_the_child_a_whole_batch_is_claimed_at_once() -> None:
    policy = make_policy()
    policy.trip_took(0.010)

    plan = policy.plan(staged=Staged(32, 0, 0), window=BATCH, running=RunningPass(7, 10.0, 10.0001), now=10.0)

    assert ClaimPlan(ClaimSize(64, 3 * 64, ROOM), number=7) == plan


def plan_for(pass_s: float, *, staged: Staged = IDLE, window: Window = BATCH) -> ClaimPlan:
    """What is claimed when the way to the child takes 10 ms and a pass so long has just begun."""
    policy = make_policy()
    policy.trip_took(0.010)
    return policy.plan(staged=staged, window=window, running=RunningPass(7, 10.0, 10.0 + pass_s), now=10.0)


@pytest.mark.parametrize(("pass_s", "batches"), [(0.009, 2), (0.0051, 2), (0.0049, 3), (0.003, 3), (0.00001, 3)])
def test_as_many_passes_as_are_over_before_the_next_claim_is_here_are_claimed_for_at_once(
    pass_s: float, batches: int
) -> None:
    assert ClaimSize(64, batches * 64, ROOM) == plan_for(pass_s).size


@pytest.mark.parametrize("pass_s", [0.011, 0.1, 10.0])
def test_one_batch_is_claimed_for_passes_longer_than_the_way_to_the_child(pass_s: float) -> None:
    assert ClaimSize(64, 64, ROOM) == plan_for(pass_s).size


def test_a_window_that_is_wider_than_several_batches_stays_as_wide() -> None:
    assert ClaimSize(64, 512, ROOM) == plan_for(0.001, window=WIDE).size


def test_more_is_held_ahead_of_brief_passes_than_one_call_claims() -> None:
    held = Staged((1 + 4) * 64, 0, 0)

    assert ClaimSize(0, 2 * 64, ROOM, ahead=3 * 64) == plan_for(0.001, staged=held).size


def test_no_more_than_six_batches_are_held_ahead_of_brief_passes() -> None:
    assert NOTHING == plan_for(0.001, staged=Staged((1 + 6) * 64, 0, 0))


def test_several_batches_are_no_more_bytes_than_one_may_be() -> None:
    assert ClaimSize(64, 3 * 64, 1) == plan_for(0.001, staged=Staged(0, ROOM - 1, 0)).size
    assert NOTHING == plan_for(0.001, staged=Staged(1, ROOM, 0))


def test_beyond_a_batch_brief_passes_too_leave_the_larger_part_of_what_waits_to_others() -> None:
    size = plan_for(0.004, staged=Staged(64 + 10, 0, 0)).size

    assert ClaimSize(54, 3 * 64 - 10, ROOM) == size


def test_without_a_model_nothing_is_claimed_for_brief_passes() -> None:
    assert NOTHING == plan_for(0.001, window=Window(0, 0))


def test_while_nothing_runs_one_batch_is_claimed_however_brief_passes_were() -> None:
    policy = make_policy()
    policy.trip_took(0.010)

    assert ClaimSize(64, 64, ROOM) == policy.plan(staged=IDLE, window=BATCH, running=None, now=10.0).size


def test_a_pass_of_unknown_length_takes_nothing_of_what_is_staged() -> None:
    plan = make_policy().plan(staged=Staged(64, 0, 0), window=BATCH, running=RunningPass(7, 10.0, 10.0), now=10.0)

    assert 0 == plan.size.least
