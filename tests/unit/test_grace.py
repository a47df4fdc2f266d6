"""How long a worker that stops waits for its forward pass."""

from headrace.jobs import Reason
from workers.grace import Grace

UNKNOWN = 0.0


def stopping(*, most_s: float = 25.0) -> Grace:
    """At moment 100."""
    grace = Grace(most_s=most_s)
    grace.begin(100.0)
    return grace


def test_without_a_notice_the_wait_is_as_long_as_it_is_set() -> None:
    grace = stopping()

    assert not grace.is_over(124.9, UNKNOWN)
    assert grace.is_over(125.0, UNKNOWN)


def test_without_a_notice_a_pass_that_is_expected_to_end_late_is_waited_for() -> None:
    assert not stopping().is_over(101.0, pass_ends_at=500.0)


def test_after_a_notice_enough_time_is_left_to_give_back_and_to_end() -> None:
    grace = stopping()

    grace.notice(25.0, 100.0)

    assert not grace.is_over(116.9, UNKNOWN)
    assert grace.is_over(117.0, UNKNOWN)


def test_a_short_notice_is_mostly_for_the_pass() -> None:
    grace = stopping()

    grace.notice(6.0, 100.0)

    assert not grace.is_over(103.9, UNKNOWN)
    assert grace.is_over(104.0, UNKNOWN)


def test_a_notice_never_makes_the_wait_longer() -> None:
    grace = stopping(most_s=2.0)

    grace.notice(120.0, 100.0)

    assert grace.is_over(102.0, UNKNOWN)


def test_after_a_notice_a_pass_that_cannot_end_in_time_is_not_waited_for() -> None:
    grace = stopping()

    grace.notice(25.0, 100.0)

    assert not grace.is_over(100.1, pass_ends_at=116.0)
    assert grace.is_over(100.1, pass_ends_at=118.0)


def test_a_notice_that_comes_while_the_worker_stops_shortens_the_wait() -> None:
    grace = stopping()

    grace.notice(12.0, 105.0)

    assert grace.is_over(113.0, UNKNOWN)


def test_who_is_hurried_waits_for_nothing() -> None:
    grace = stopping()

    grace.hurry()

    assert grace.is_over(100.0, UNKNOWN)


def test_jobs_say_that_they_were_preempted_only_after_a_notice() -> None:
    told, untold = stopping(), stopping()

    told.notice(25.0, 100.0)

    assert (Reason.PREEMPTED, None) == (told.reason, untold.reason)
