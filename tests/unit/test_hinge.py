"""The line that batch times follow."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.hinge import Hinge, Point, fit

points = st.builds(
    Point,
    cost=st.floats(1e-6, 1e12),
    seconds=st.floats(1e-9, 1e6),
    weight=st.floats(1e-3, 100.0),
)


def measured(curve: Hinge, *costs: float) -> list[Point]:
    return [Point(cost, curve.t(cost), 1.0) for cost in costs]


def test_a_hinge_is_flat_up_to_its_knee_and_then_rises() -> None:
    hinge = Hinge(floor_s=0.01, slope_s=0.001, knee=10)

    assert [0.01, 0.01, pytest.approx(0.015)] == [hinge.t(1), hinge.t(10), hinge.t(15)]


@pytest.mark.parametrize(
    "curve", [Hinge(0.01, 0.001, 16), Hinge(0.0, 0.001, 0), Hinge(0.02, 0.0001, 0), Hinge(0.3, 0.002, 64)]
)
def test_points_of_a_hinge_give_that_hinge(curve: Hinge) -> None:
    found = fit(measured(curve, 1, 2, 4, 8, 16, 32, 64, 128, 256))

    for cost in [1, 3, 10, 50, 100, 500]:
        assert found.t(cost) == pytest.approx(curve.t(cost), rel=1e-6)


def test_small_batches_count_as_much_as_large_ones_because_errors_are_relative() -> None:
    curve = Hinge(0.01, 0.001, 0)
    disturbed = Point(1000, 1.3 * curve.t(1000), 1.0)

    found = fit([*measured(curve, 1, 2, 4, 8, 16, 500, 700, 900), disturbed])

    assert found.t(1) == pytest.approx(curve.t(1), rel=0.05)


def test_one_cost_alone_says_that_larger_batches_take_in_proportion_and_smaller_ones_as_long() -> None:
    found = fit([Point(10, 0.5, 3.0)])

    assert [0.5, 0.5, pytest.approx(1.0)] == [found.t(1), found.t(10), found.t(20)]


def test_times_that_fall_with_the_cost_give_a_flat_line() -> None:
    found = fit([Point(1, 0.02, 1.0), Point(10, 0.01, 1.0), Point(100, 0.01, 1.0)])

    assert found.slope_s == 0
    assert 0.01 <= found.floor_s <= 0.02


def test_the_efficient_cost_has_nine_tenths_of_the_greatest_throughput() -> None:
    hinge = Hinge(floor_s=0.01, slope_s=0.0001, knee=20)

    cost = hinge.efficient_cost

    assert cost / hinge.t(cost) == pytest.approx(0.9 / hinge.slope_s)


def test_beyond_a_late_knee_nothing_is_gained() -> None:
    assert Hinge(floor_s=0.001, slope_s=0.001, knee=20).efficient_cost == 20


def test_a_flat_line_has_no_efficient_cost() -> None:
    assert Hinge(floor_s=0.01, slope_s=0.0, knee=0).efficient_cost == math.inf


@settings(max_examples=60, deadline=None)
@given(st.lists(points, min_size=1, max_size=30), st.floats(1e-6, 1e12))
def test_a_fit_never_predicts_less_than_nothing(seen: list[Point], cost: float) -> None:
    hinge = fit(seen)

    assert all(value >= 0 for value in hinge)
    assert 0 < hinge.t(cost) < math.inf
