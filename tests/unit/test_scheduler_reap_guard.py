"""Leases are not taken from workers that had no chance to renew them."""

import pytest

from scheduler.reap_guard import ReapGuard, ServerView

LEASE_S = 15.0


@pytest.fixture
def guard() -> ReapGuard:
    return ReapGuard(lease_s=LEASE_S)


def view(time_s: float, *, run_id: str = "a", uptime_s: int = 1000) -> ServerView:
    return ServerView(run_id, uptime_s, time_s)


def test_nothing_waits_on_a_server_that_has_been_up_for_a_lease(guard: ReapGuard) -> None:
    guard.observe(view(5000.0, uptime_s=15), now=0.0)

    assert guard.may_reap(0.0)


def test_a_server_that_has_just_started_gets_the_rest_of_a_lease(guard: ReapGuard) -> None:
    guard.observe(view(5000.0, uptime_s=5), now=0.0)

    assert not guard.may_reap(9.9)
    assert guard.may_reap(10.0)


def test_a_restart_between_two_looks_gets_a_lease(guard: ReapGuard) -> None:
    guard.observe(view(5000.0), now=0.0)

    reason = guard.observe(view(5001.0, run_id="b", uptime_s=0), now=1.0)

    assert reason == "the server has just started"
    assert not guard.may_reap(15.9)
    assert guard.may_reap(16.0)


@pytest.mark.parametrize("jump_s", [-60.0, 60.0])
def test_a_jump_of_the_servers_clock_gets_a_lease(guard: ReapGuard, jump_s: float) -> None:
    guard.observe(view(5000.0), now=0.0)

    reason = guard.observe(view(5001.0 + jump_s), now=1.0)

    assert reason == "the server's clock jumped"
    assert not guard.may_reap(15.9)


def test_a_small_drift_of_clocks_is_no_jump(guard: ReapGuard) -> None:
    guard.observe(view(5000.0), now=0.0)

    reason = guard.observe(view(5002.5), now=1.0)

    assert reason == ""
    assert guard.may_reap(1.0)


def test_an_outage_that_cost_renewals_gets_a_lease(guard: ReapGuard) -> None:
    guard.observe(view(5000.0), now=0.0)

    reason = guard.observe(view(5010.0), now=10.0)

    assert reason == "the server was out of reach"
    assert not guard.may_reap(24.9)
    assert guard.may_reap(25.0)


def test_a_quiet_look_does_not_end_a_grace_early(guard: ReapGuard) -> None:
    guard.observe(view(5000.0, uptime_s=0), now=0.0)

    guard.observe(view(5001.0, uptime_s=1), now=1.0)

    assert not guard.may_reap(14.9)
    assert guard.may_reap(15.0)
