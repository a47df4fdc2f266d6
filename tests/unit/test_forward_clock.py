"""When the running pass will end, and how long the model was idle before it."""

import pytest

from workers.claim_policy import RunningPass
from workers.forward_clock import ForwardClock, Idle


def ends_at(clock: ForwardClock) -> float:
    assert clock.running is not None
    return clock.running.ends_at


def test_the_child_says_how_long_a_pass_will_take() -> None:
    clock = ForwardClock()

    clock.started(1, "a@1", now=2.0, expected_s=0.25)

    assert RunningPass(number=1, began=2.0, ends_at=2.25) == clock.running


def test_without_its_word_a_pass_takes_as_long_as_the_one_before() -> None:
    clock = ForwardClock()
    clock.started(1, "a@1", now=1.0)
    clock.ended(1, took_s=0.5)

    clock.started(2, "a@1", now=2.0)

    assert ends_at(clock) == 2.5


def test_a_pass_of_an_unknown_model_is_expected_to_end_at_once() -> None:
    clock = ForwardClock()

    clock.started(1, "a@1", now=2.0)

    assert ends_at(clock) == 2.0


def test_a_shorter_pass_is_believed_at_once_and_a_longer_one_slowly() -> None:
    clock = ForwardClock()
    for number, took_s in enumerate((1.0, 0.5, 1.0)):
        clock.started(number, "a@1", now=10.0 * number)
        clock.ended(number, took_s=took_s)

    assert pytest.approx(0.6) == clock.longest_s


def test_the_time_between_two_passes_was_idle() -> None:
    clock = ForwardClock()
    first = clock.started(1, "a@1", now=1.0)
    ended = clock.ended(1, took_s=0.5)

    second = clock.started(2, "a@1", now=1.75)

    assert (None, None, Idle(since=1.5, seconds=0.25, pass_s=0.5)) == (first, ended, second)


def test_an_end_that_is_told_after_the_next_start_leaves_that_running_and_tells_the_idle_time() -> None:
    clock = ForwardClock()
    clock.started(1, "a@1", now=1.0)
    second = clock.started(2, "a@1", now=1.6, expected_s=0.5)

    ended = clock.ended(1, took_s=0.5)

    assert second is None
    assert ended is not None
    assert [0.1, 1.5] == pytest.approx([ended.seconds, ended.since])
    assert ends_at(clock) == 2.1


def test_a_pass_that_took_up_where_the_one_before_ended_was_not_idle() -> None:
    clock = ForwardClock()
    clock.started(1, "a@1", now=1.0)
    clock.started(2, "a@1", now=1.5)

    ended = clock.ended(1, took_s=0.6)

    assert Idle(since=1.6, seconds=0.0, pass_s=0.6) == ended


def test_after_the_death_of_the_process_nothing_runs_and_nothing_was_idle() -> None:
    clock = ForwardClock()
    clock.started(1, "a@1", now=1.0)

    clock.forget_running({"a@1"})

    assert None is clock.running
    assert None is clock.started(2, "a@1", now=2.0)
