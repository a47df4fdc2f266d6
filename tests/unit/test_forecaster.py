"""What is expected to arrive: the level with the margin of its own errors, and other models only where they win."""

import numpy as np
import pytest

from scheduler.forecast_models import Array, DampedTrend, ForecastModel, HoltWinters, Level, SeasonalNaive
from scheduler.forecaster import BIN_S, Forecaster, Outlook, quantile_for

DAY_S = 86_400.0
PERIOD = 12


def told(model: ForecastModel, rates: Array) -> ForecastModel:
    for rate in rates:
        model.add(np.array([rate]))
    return model


def watched(rates: Array, *, cold_start_s: float = 300.0, quantile: float = 0.9, step_s: float = 60.0) -> Outlook:
    """After a course of rates, one for each step; the level follows at once."""
    forecaster = Forecaster(pools=1)
    for place, rate in enumerate(rates):
        now = np.array([rate])
        horizon_s = np.array([cold_start_s + 30.0])
        outlook = forecaster.update(now, now, horizon_s, np.array([quantile]), place * step_s)
    return outlook


# --- models ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model", [Level(1), DampedTrend(1), SeasonalNaive(1, period=PERIOD), HoltWinters(1, period=PERIOD)]
)
def test_every_model_expects_what_is_always_so(model: ForecastModel) -> None:
    told(model, np.full(4 * PERIOD, 7.0))

    assert [model.ahead(bins)[0] for bins in (1, 5)] == pytest.approx([7.0, 7.0])


@pytest.mark.parametrize("model", [SeasonalNaive(1, period=PERIOD), HoltWinters(1, period=PERIOD)])
def test_seasonal_models_know_what_comes_at_which_time(model: ForecastModel) -> None:
    course = np.tile(np.arange(1.0, PERIOD + 1), 4)

    told(model, course)

    assert [model.ahead(bins)[0] for bins in (1, 4, PERIOD)] == pytest.approx([1.0, 4.0, 12.0], rel=0.02)


def test_a_seasonal_forecast_is_scaled_by_how_today_compares() -> None:
    usual = np.tile(np.arange(1.0, PERIOD + 1), 3)
    model = SeasonalNaive(1, period=PERIOD, recent=PERIOD)

    told(model, np.concatenate((usual, 2 * usual[:PERIOD])))

    assert model.ahead(1)[0] > 1.3


def test_seasonal_models_say_nothing_before_the_first_period_is_over() -> None:
    models = SeasonalNaive(1, period=PERIOD), HoltWinters(1, period=PERIOD)

    assert all(np.isnan(told(model, np.ones(PERIOD - 1)).ahead(1)[0]) for model in models)


def test_a_trend_goes_on_and_fades() -> None:
    model = told(DampedTrend(1), np.arange(40.0))

    near, far, farther = (model.ahead(bins)[0] for bins in (1, 10, 100))

    assert 38 < near < far
    assert farther - far < 1.0


# --- the margin --------------------------------------------------------------------------------------------


def test_what_is_steady_needs_no_margin() -> None:
    assert watched(np.full(300, 4.0)).margin == pytest.approx([0.0])


def test_the_margin_is_what_came_beyond_what_was_expected_in_nine_cases_of_ten() -> None:
    draw = np.random.default_rng(1)
    rates = draw.uniform(1.0, 3.0, 2_000)

    margin = watched(rates, cold_start_s=30.0, quantile=0.9).margin[0]

    # A horizon of one sample: what came is the next rate, less this one.
    errors = np.sort(rates[-240:] - rates[-241:-1])
    assert margin == pytest.approx(errors[int(0.9 * len(errors))], rel=0.1)


def test_the_plan_is_the_level_and_its_margin() -> None:
    outlook = watched(np.random.default_rng(2).uniform(1.0, 3.0, 500))

    assert outlook.planned == pytest.approx(outlook.level + outlook.margin)
    assert outlook.models == ("level",)


def test_a_level_that_is_high_by_chance_gets_no_more_margin_than_one_that_is_low() -> None:
    rates = np.random.default_rng(2).uniform(1.0, 3.0, 500)

    low, high = (watched(np.append(rates, last)) for last in (1.0, 3.0))

    assert high.margin == pytest.approx(low.margin, rel=0.1)


def test_nothing_is_planned_for_what_has_stopped() -> None:
    rates = np.random.default_rng(2).uniform(1.0, 3.0, 500)

    assert watched(np.append(rates, 0.0)).planned == pytest.approx([0.0])


def test_the_longer_a_start_takes_the_surer_the_forecast_must_be() -> None:
    quantiles = quantile_for(np.array([10.0, 30.0, 90.0, 300.0, 900.0]), np.full(5, 30.0))

    assert quantiles == pytest.approx([0.5, 0.5, 0.85, 0.95, 0.95])


def test_growth_is_more_than_what_has_grown_within_the_last_horizon_where_a_start_takes_long() -> None:
    steady = watched(np.full(60, 2.0), quantile=0.95)
    grown = watched(np.concatenate((np.full(60, 2.0), np.full(3, 4.0))), quantile=0.95)

    assert steady.growing == pytest.approx(steady.level)
    assert grown.growing == pytest.approx(2.5 * grown.level)


def test_growth_counts_for_nothing_where_a_start_is_quick() -> None:
    grown = watched(np.concatenate((np.full(60, 2.0), np.full(3, 4.0))), quantile=0.5)

    assert grown.growing == pytest.approx(grown.level)


# --- which model ------------------------------------------------------------------------------------------


def daily(days: int, *, noise: float) -> Array:
    """A night and a busy afternoon, every day the same, in bins."""
    at = np.arange(0, days * DAY_S, BIN_S)
    rates = np.where((at % DAY_S > 0.5 * DAY_S) & (at % DAY_S < 0.75 * DAY_S), 10.0, 1.0)
    return np.asarray(rates * np.random.default_rng(3).normal(1.0, noise, len(rates)).clip(0.1))


def test_a_seasonal_model_is_heard_when_each_day_is_like_the_last() -> None:
    outlook = watched(daily(4, noise=0.05), step_s=BIN_S)

    assert outlook.models[0] in ("seasonal", "holt-winters")


def test_it_sees_the_ramp_before_it_comes() -> None:
    until_ramp = int((4 * DAY_S + 0.5 * DAY_S) / BIN_S)

    outlook = watched(daily(5, noise=0.05)[:until_ramp], step_s=BIN_S)

    assert outlook.level[0] < 2.0
    assert outlook.planned[0] > 8.0


def test_the_level_is_kept_when_days_are_not_alike() -> None:
    walk = np.exp(np.cumsum(np.random.default_rng(4).normal(0.0, 0.05, int(6 * DAY_S / BIN_S)))).clip(0.1, 50.0)

    assert watched(walk, step_s=BIN_S).models == ("level",)
