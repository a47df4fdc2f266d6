"""How long a batch takes, learned from those that ran."""

import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.cost_model import WARM_UP, CostModel
from workers.hinge import Hinge

CURVE = Hinge(floor_s=0.01, slope_s=0.0005, knee=40)
anything = st.floats(allow_nan=True, allow_infinity=True)


def trained(batches: int = 200, *, noise: float = 0.0, seed: int = 1) -> CostModel:
    rng = random.Random(seed)
    model = warmed_up()
    for _ in range(batches):
        cost = rng.randint(1, 1000)
        model.observe(cost, 1, CURVE.t(cost) * rng.lognormvariate(0, noise))
    return model


def warmed_up() -> CostModel:
    model = CostModel()
    for _ in range(WARM_UP):
        model.observe(8, 8, 60.0)
    return model


def test_a_new_model_knows_nothing() -> None:
    model = CostModel()

    assert not model.known
    assert (0.0, 0.0) == (model.t(10), model.t_hi(10))
    assert (math.inf, math.inf) == (model.efficient_cost, model.ceiling)


def test_the_first_passes_after_a_load_are_not_learned_from() -> None:
    model = warmed_up()

    assert model.t(8) == 0.0

    model.observe(8, 8, 0.01)
    assert model.t(8) == 0.01


def test_it_takes_eight_batches_of_three_sizes_to_be_known() -> None:
    few_sizes, few_batches, enough = warmed_up(), warmed_up(), warmed_up()
    for i in range(8):
        few_sizes.observe([10, 20][i % 2], 1, 0.1)
        enough.observe([10, 20, 40][i % 3], 1, 0.1)
    for i in range(7):
        few_batches.observe([10, 20, 40][i % 3], 1, 0.1)

    assert [False, False, True] == [few_sizes.known, few_batches.known, enough.known]


def test_a_mean_error_of_ten_percent_at_most_under_noise() -> None:
    model = trained(100, noise=0.1)

    errors = [abs(model.t(cost) / CURVE.t(cost) - 1) for cost in range(1, 1000, 7)]
    assert sum(errors) / len(errors) <= 0.1


def test_the_upper_bound_holds_in_ninety_nine_of_a_hundred_batches() -> None:
    model = trained(200, noise=0.1)
    rng = random.Random(2)

    costs = [rng.randint(1, 1000) for _ in range(2000)]
    held = sum(CURVE.t(cost) * rng.lognormvariate(0, 0.1) <= model.t_hi(cost) for cost in costs)
    assert held >= 0.99 * len(costs)
    assert model.t_hi(500) <= 1.6 * model.t(500)


def test_a_machine_that_became_slower_is_followed() -> None:
    model = trained(300)
    rng = random.Random(3)
    for _ in range(300):
        cost = rng.randint(1, 1000)
        model.observe(cost, 1, 2 * CURVE.t(cost))

    assert model.t(500) == pytest.approx(2 * CURVE.t(500), rel=0.1)


def test_an_hour_of_full_batches_does_not_wipe_out_what_a_small_one_takes() -> None:
    model = trained(100)
    for _ in range(5000):
        model.observe(640, 64, CURVE.t(640))

    assert model.t(10) == pytest.approx(CURVE.t(10), rel=0.2)
    assert model.t(640) == pytest.approx(CURVE.t(640), rel=0.02)


def test_batches_that_did_clearly_less_a_second_set_a_ceiling() -> None:
    model = warmed_up()
    for cost in [50, 100, 200, 400, 800] * 3:
        model.observe(cost, 1, 0.001 * cost * (2 if cost > 300 else 1))

    assert 200 <= model.ceiling < 400


def test_where_more_is_never_worse_there_is_no_ceiling() -> None:
    assert trained(100).ceiling == math.inf


def test_a_new_worker_starts_with_what_another_one_learned() -> None:
    model = trained(100, noise=0.05)

    copy = CostModel.from_bytes(model.to_bytes())

    assert copy.known
    assert copy.t(300) == pytest.approx(model.t(300), rel=0.02)
    assert copy.t_hi(300) == pytest.approx(model.t_hi(300), rel=0.02)
    assert len(model.to_bytes()) < 8_000


def test_sizes_travel_too() -> None:
    model = warmed_up()
    for _ in range(4):
        model.observe(32, 32, 0.01)

    copy = CostModel.from_bytes(model.to_bytes())

    assert model.sizes.to_state() == copy.sizes.to_state()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b'{"classes": [[1]], "deviation": 0, "sizes": []}',
        b'{"classes": [[-1, 1, 1, 0]], "deviation": 0.1, "sizes": []}',
        b'{"classes": [[1, 1, 1, 0]], "deviation": NaN, "sizes": []}',
        b'{"classes": [[1, 1, 1, 5]], "deviation": 0.1, "sizes": []}',
        b'{"classes": [[1, 1, 1, 0]], "deviation": 0.1, "sizes": [[0, 1, 1]]}',
        b'{"classes": [[1, 1, 1, 0]], "deviation": 0.1, "sizes": [[4, 1, NaN]]}',
    ],
)
def test_what_cannot_be_read_counts_as_nothing_learned(data: bytes) -> None:
    assert json.loads(CostModel().to_bytes()) == json.loads(CostModel.from_bytes(data).to_bytes())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(anything, st.integers(-1, 100), anything), max_size=20), st.floats(0, 1e15))
def test_whatever_is_observed_predictions_are_numbers_from_zero_up(
    seen: list[tuple[float, int, float]], cost: float
) -> None:
    model = warmed_up()
    for batch in seen:
        model.observe(*batch)

    for learned in (model, CostModel.from_bytes(model.to_bytes())):
        assert 0 <= learned.t(cost) <= learned.t_hi(cost) < math.inf
        assert learned.efficient_cost >= 0
        assert learned.ceiling > 0
