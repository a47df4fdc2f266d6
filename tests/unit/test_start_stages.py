"""Where the time of a worker's start goes."""

from workers.start_stages import start_stages


def test_each_stage_ends_where_the_next_one_begins() -> None:
    assert {"process": 2.0, "child": 0.5, "model": 4.0} == start_stages(1_000, 3_000, 3_500, 7_500)


def test_what_is_not_over_has_no_length_yet() -> None:
    assert {"process": 2.0} == start_stages(1_000, 3_000, None, None)


def test_a_clock_that_was_set_back_makes_no_stage_negative() -> None:
    assert {"process": 0.0, "child": 0.5, "model": 1.0} == start_stages(5_000, 3_000, 3_500, 4_500)


def test_time_in_which_there_was_nothing_to_load_is_no_part_of_a_start() -> None:
    assert {"process": 2.0, "child": 0.5, "model": 1.0} == start_stages(1_000, 3_000, 3_500, 67_500, found_ms=66_500)
    assert {"process": 2.0, "child": 0.5, "model": 4.0} == start_stages(1_000, 3_000, 3_500, 7_500, found_ms=3_200)
