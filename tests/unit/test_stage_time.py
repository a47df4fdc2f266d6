"""When a stage is given to a thread of its own."""

from workers.stage_time import StageTime


def test_a_stage_that_was_never_seen_stays_with_the_pass() -> None:
    assert not StageTime(thread_s=0.0005).is_worth_a_thread(1000)


def test_a_batch_that_takes_long_is_worth_a_thread_and_a_short_one_is_not() -> None:
    times = StageTime(thread_s=0.0005)

    times.took(items=10, seconds=0.001)

    assert times.is_worth_a_thread(6)
    assert not times.is_worth_a_thread(4)


def test_one_slow_batch_does_not_decide() -> None:
    times = StageTime(thread_s=0.0005)
    for _ in range(20):
        times.took(items=64, seconds=0.0001)

    times.took(items=64, seconds=0.002)

    assert not times.is_worth_a_thread(64)


def test_no_items_say_nothing() -> None:
    times = StageTime(thread_s=0.0005)

    times.took(items=0, seconds=1.0)

    assert not times.is_worth_a_thread(64)
