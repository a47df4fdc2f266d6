"""A canary that fails more often is found out; one that does not is left alone, however often one looks."""

import random

import pytest

from registry.canary_test import CanaryTest, Ended

RUNS = 200


def jobs_until_worse(others_rate: float, canary_rate: float, *, share: float, most: int, seed: int) -> int | None:
    """Jobs of the canary when it was called worse, looked at every 10 jobs; None if it was not."""
    draw, test, counts = random.Random(seed), CanaryTest(false_alarm=0.05), [[0, 0], [0, 0]]
    for number in range(1, most + 1):
        is_canary = draw.random() < share
        mine = counts[is_canary]
        mine[0] += 1
        mine[1] += draw.random() < (canary_rate if is_canary else others_rate)
        if number % 10 == 0:
            test.observe(Ended(*counts[0]), Ended(*counts[1]))
            if test.is_worse:
                return counts[1][0]
    return None


@pytest.mark.parametrize("rate", [0.005, 0.02, 0.1])
@pytest.mark.parametrize("share", [0.05, 0.5])
def test_of_canaries_that_are_no_worse_at_most_one_in_twenty_is_taken_back(rate: float, share: float) -> None:
    alarms = [jobs_until_worse(rate, rate, share=share, most=2_000, seed=seed) for seed in range(RUNS)]

    assert sum(alarm is not None for alarm in alarms) <= 0.05 * RUNS


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2])
def test_five_percent_more_errors_are_found_within_500_jobs_of_the_canary(share: float) -> None:
    found = [jobs_until_worse(0.002, 0.052, share=share, most=20_000, seed=seed) for seed in range(RUNS)]

    assert sum(jobs is not None and jobs <= 500 for jobs in found) >= 0.99 * RUNS


def test_a_canary_that_fails_less_often_is_never_worse() -> None:
    found = [jobs_until_worse(0.2, 0.02, share=0.5, most=2_000, seed=seed) for seed in range(20)]

    assert found == [None] * 20


def test_a_canary_that_always_fails_is_found_after_a_few_jobs() -> None:
    test = CanaryTest(false_alarm=0.05)

    test.observe(Ended(90, 0), Ended(10, 10))

    assert test.is_worse


def test_a_canary_all_of_whose_jobs_fail_past_counting_is_worse_still() -> None:
    test = CanaryTest(false_alarm=0.05)

    test.observe(Ended(10**6, 0), Ended(10**4, 10**4))

    assert test.evidence == float("inf")


def test_counts_that_fall_because_redis_was_wiped_say_nothing() -> None:
    test = CanaryTest(false_alarm=0.05)

    test.observe(Ended(900, 9), Ended(100, 1))
    before = test.evidence
    test.observe(Ended(5, 0), Ended(1, 0))

    assert before == test.evidence
