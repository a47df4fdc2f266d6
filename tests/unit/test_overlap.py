"""The better of the two ways is found, kept, and doubted now and then."""

import random

import pytest

from workers.overlap import Overlap

EXPECTED_S = 0.008


def run(overlap: Overlap, turns: int, *, beside_s: float, between_s: float, noise: float = 0.0) -> list[bool]:
    """Turns that take so long in each way; answers which way each went."""
    draw, ways = random.Random(1), []
    for _ in range(turns):
        ways.append(overlap.is_on)
        seconds = (beside_s if overlap.is_on else between_s) * (1 + noise * draw.uniform(-1, 1))
        overlap.took(seconds, EXPECTED_S)
    return ways


def test_stages_run_beside_passes_until_something_is_known() -> None:
    assert Overlap(is_allowed=True).is_on


@pytest.mark.parametrize(("beside_s", "between_s", "better"), [(0.010, 0.015, True), (0.015, 0.010, False)])
def test_the_better_way_is_found_within_forty_turns(beside_s: float, between_s: float, better: bool) -> None:
    overlap = Overlap(is_allowed=True)

    run(overlap, 40, beside_s=beside_s, between_s=between_s, noise=0.1)

    assert better == overlap.is_on


def test_the_stages_leave_the_time_beside_a_pass_only_for_a_clear_gain() -> None:
    overlap = Overlap(is_allowed=True)

    run(overlap, 40, beside_s=0.0101, between_s=0.010)

    assert overlap.is_on


def test_the_worse_way_is_taken_in_few_turns_of_many() -> None:
    ways = run(Overlap(is_allowed=True), 4_000, beside_s=0.015, between_s=0.010, noise=0.1)

    assert ways.count(True) < 0.05 * len(ways)


def test_a_model_that_has_changed_its_ways_is_followed() -> None:
    overlap = Overlap(is_allowed=True)
    run(overlap, 40, beside_s=0.010, between_s=0.015)

    run(overlap, 420, beside_s=0.015, between_s=0.010)

    assert not overlap.is_on


def test_a_trial_that_only_loses_is_given_up_early() -> None:
    ways = run(Overlap(is_allowed=True), 60, beside_s=0.010, between_s=0.012, noise=0.05)

    assert ways.count(False) <= 5


def test_a_wrong_decision_of_the_first_turns_is_reviewed_soon() -> None:
    overlap = Overlap(is_allowed=True)
    run(overlap, 20, beside_s=0.010, between_s=0.015)

    run(overlap, 100, beside_s=0.015, between_s=0.010)

    assert not overlap.is_on


def test_turns_of_unlike_batches_are_compared_by_what_was_expected_of_each() -> None:
    overlap, draw = Overlap(is_allowed=True), random.Random(1)
    for _ in range(40):
        size = draw.uniform(0.2, 5.0)
        overlap.took(size * (0.010 if overlap.is_on else 0.008), size * EXPECTED_S)

    assert not overlap.is_on


def test_a_machine_that_is_slow_for_a_while_in_the_middle_of_a_comparison_does_not_decide_it() -> None:
    overlap = Overlap(is_allowed=True)
    for turn in range(40):
        slowness = 2.0 if 5 <= turn < 15 else 1.0
        overlap.took(slowness * (0.015 if overlap.is_on else 0.010), EXPECTED_S)

    assert not overlap.is_on


def test_one_slow_turn_decides_nothing() -> None:
    overlap = Overlap(is_allowed=True)
    run(overlap, 5, beside_s=0.010, between_s=0.012)
    overlap.took(3.0, EXPECTED_S)

    run(overlap, 15, beside_s=0.010, between_s=0.012)

    assert overlap.is_on


def test_where_the_author_forbids_it_it_is_not_tried() -> None:
    ways = run(Overlap(is_allowed=False), 1_000, beside_s=0.010, between_s=0.015)

    assert not any(ways)


def test_turns_of_which_nothing_was_expected_say_nothing() -> None:
    overlap = Overlap(is_allowed=True)

    for _ in range(100):
        overlap.took(1.0, 0.0)

    assert overlap.is_on
