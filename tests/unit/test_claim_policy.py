"""How many jobs to claim, and when."""

import pytest

from workers.claim_policy import ClaimPlan, ClaimPolicy
from workers.forward_clock import ForwardClock

POLICY = ClaimPolicy(lead_s=0.003)


def test_an_idle_worker_claims_a_whole_batch_at_once() -> None:
    plan = POLICY.plan(staged=0, max_batch=64, ends_at=None, now=10.0)

    assert ClaimPlan(64, 0.0) == plan


def test_a_busy_worker_claims_a_lead_before_its_pass_ends() -> None:
    plan = POLICY.plan(staged=0, max_batch=64, ends_at=10.1, now=10.0)

    assert plan.jobs == 64
    assert pytest.approx(0.097) == plan.wait_s


def test_a_longer_way_to_the_child_is_claimed_for_earlier_at_once_and_unlearned_slowly() -> None:
    policy = ClaimPolicy(lead_s=0.003)

    policy.trip_took(0.010)
    after_a_long_trip = policy.plan(staged=0, max_batch=64, ends_at=10.1, now=10.0).wait_s
    policy.trip_took(0.005)
    after_a_short_one = policy.plan(staged=0, max_batch=64, ends_at=10.1, now=10.0).wait_s

    assert pytest.approx(0.087) == after_a_long_trip
    assert pytest.approx(0.088) == after_a_short_one


@pytest.mark.parametrize("ends_at", [10.003, 10.0, 9.0])
def test_a_pass_that_ends_within_the_lead_is_not_waited_for(ends_at: float) -> None:
    plan = POLICY.plan(staged=0, max_batch=64, ends_at=ends_at, now=10.0)

    assert ClaimPlan(64, 0.0) == plan


def test_only_the_room_of_one_batch_is_filled() -> None:
    plan = POLICY.plan(staged=60, max_batch=64, ends_at=None, now=10.0)

    assert ClaimPlan(4, 0.0) == plan


@pytest.mark.parametrize("staged", [64, 100])
def test_nothing_is_claimed_while_a_whole_batch_is_staged(staged: int) -> None:
    plan = POLICY.plan(staged=staged, max_batch=64, ends_at=None, now=10.0)

    assert plan.jobs == 0


def test_without_a_model_nothing_is_claimed() -> None:
    assert POLICY.plan(staged=0, max_batch=0, ends_at=None, now=10.0).jobs == 0


def test_the_clock_expects_what_it_has_seen() -> None:
    clock = ForwardClock()
    clock.started("a@1", now=1.0)
    clock.ended("a@1", took_s=0.5)

    clock.started("a@1", now=2.0)

    assert clock.ends_at == 2.5


def test_the_clock_expects_an_unknown_model_to_end_at_once() -> None:
    clock = ForwardClock()

    clock.started("a@1", now=2.0)

    assert clock.ends_at == 2.0


def test_the_clock_believes_a_shorter_pass_at_once_and_a_longer_one_slowly() -> None:
    clock = ForwardClock()
    for took_s in (1.0, 0.5, 1.0):
        clock.ended("a@1", took_s=took_s)

    assert pytest.approx(0.6) == clock.longest_s


def test_the_clock_expects_nothing_when_nothing_runs() -> None:
    clock = ForwardClock()
    clock.started("a@1", now=1.0)

    clock.forget_running()

    assert None is clock.ends_at
