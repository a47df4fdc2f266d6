"""HangWatch: what takes a model's process too long."""

from workers.hang_watch import HangWatch
from workers.stage_marks import Stage


def watch() -> HangWatch:
    return HangWatch(forward_s=10.0, load_s=100.0)


def test_a_pass_hangs_once_it_has_taken_longer_than_a_pass_may() -> None:
    watched = watch()

    watched.pass_begins([1, 2], 0.0)

    assert ("", "a forward pass") == (watched.hanging({}, 10.0), watched.hanging({}, 10.1))


def test_the_end_of_a_pass_says_nothing_of_the_one_after_it() -> None:
    watched = watch()
    watched.pass_begins([1], 0.0)
    watched.pass_begins([2], 8.0)

    watched.pass_ended([1])

    assert [2] == watched.running
    assert ("", "a forward pass") == (watched.hanging({}, 17.0), watched.hanging({}, 18.1))


def test_a_load_may_wait_for_the_pass_before_it() -> None:
    watched = watch()

    watched.load_begins("echo@1", 0.0)

    assert ("", "loading echo@1") == (watched.hanging({}, 110.0), watched.hanging({}, 110.1))


def test_a_copy_to_host_memory_may_take_as_long_as_a_load() -> None:
    watched = watch()

    watched.parking_begins("echo@1", 0.0)

    assert ("", "parking echo@1") == (watched.hanging({}, 110.0), watched.hanging({}, 110.1))


def test_a_stage_hangs_that_stays_at_one_job() -> None:
    watched = watch()
    watched.hanging({Stage.PREPARE: 7}, 0.0)

    assert "" == watched.hanging({Stage.PREPARE: 7}, 10.0)
    assert "the stage prepare of one job" == watched.hanging({Stage.PREPARE: 7}, 10.1)


def test_a_stage_that_goes_on_to_other_jobs_does_not_hang() -> None:
    watched = watch()

    found = [watched.hanging({Stage.FINISH: slot}, 9.0 * slot) for slot in range(5)]

    assert [""] * 5 == found


def test_a_pass_that_nobody_waits_for_is_cut_off_early() -> None:
    watched = watch()
    watched.pass_begins([1, 2], 0.0)

    watched.forsake([1], 3.0)
    before = watched.hanging({}, 4.0)
    watched.forsake([2], 5.0)

    assert ("", "a forward pass") == (before, watched.hanging({}, 5.1))


def test_who_was_forsaken_in_one_pass_is_waited_for_in_the_next() -> None:
    watched = watch()
    watched.pass_begins([1], 0.0)
    watched.forsake([1], 3.0)

    watched.pass_begins([1], 2.0)

    assert "" == watched.hanging({}, 11.0)


def test_what_was_given_up_hangs_no_more_and_is_still_under_way() -> None:
    watched = watch()
    watched.pass_begins([1], 0.0)
    watched.parking_begins("echo@1", 0.0)

    watched.give_up()

    assert "" == watched.hanging({Stage.PREPARE: 1}, 1000.0)
    assert [1] == watched.running
    assert not watched.is_idle


def test_what_is_copied_is_known_once_the_pass_before_has_ended_and_also_when_it_hung() -> None:
    watched = watch()
    watched.pass_begins([1], 0.0)
    watched.parking_begins("echo@1", 0.0)
    during = watched.copying

    watched.pass_ended([1])
    watched.give_up()

    assert (None, "echo@1") == (during, watched.copying)


def test_it_is_idle_when_pass_load_and_copy_have_ended() -> None:
    watched = watch()
    watched.pass_begins([1], 0.0)
    watched.load_begins("echo@1", 0.0)
    watched.parking_begins("ask@1", 0.0)

    watched.pass_ended([1])
    watched.load_ended()
    watched.parking_ended("ask@1")

    assert watched.is_idle
    assert "" == watched.hanging({}, 1000.0)
