"""What is expected to arrive: the level with the margin of its own errors, and other models only where they win."""

from collections.abc import Callable

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


def watched(
    rates: Array,
    *,
    cold_start_s: float = 300.0,
    quantile: float = 0.9,
    step_s: float = 60.0,
    pause_s: float = 0.0,
) -> Outlook:
    """After a course of rates, one for each step, with a pause before the last twenty; the level follows at once."""
    forecaster = Forecaster(pools=1)
    for place, rate in enumerate(rates):
        now_s = place * step_s + (pause_s if place >= len(rates) - 20 else 0.0)
        arriving, horizon_s = np.array([rate]), np.array([cold_start_s + 30.0])
        outlook = forecaster.update(arriving, arriving, horizon_s, np.array([quantile]), now_s)
    return outlook


def drifting(steps: int, *, seed: int = 1) -> Array:
    """What is high now will be high for an hour or so."""
    draw = np.random.default_rng(seed)
    off = 0.0
    return np.array([2.0 + (off := 0.98 * off + draw.normal(0.0, 0.1)) for _ in range(steps)]).clip(0.2)


def bursting(steps: int, *, seed: int = 1) -> Array:
    """Mostly little, now and then ten times as much for a minute."""
    return np.where(np.random.default_rng(seed).random(steps) < 0.2, 10.0, 1.0)


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
    rates = drifting(2_000)

    margin = watched(rates, cold_start_s=30.0, quantile=0.9).margin[0]

    # A horizon of one sample: what came is the next rate, less this one.
    errors = np.sort(rates[-240:] - rates[-241:-1])
    assert margin == pytest.approx(errors[int(0.9 * len(errors))], rel=0.2)


def test_the_plan_is_the_level_and_its_margin() -> None:
    outlook = watched(drifting(500))

    assert outlook.planned == pytest.approx(outlook.level + outlook.margin)
    assert outlook.models == ("level",)


def test_a_level_that_is_high_by_chance_gets_no_more_margin_than_one_that_is_low() -> None:
    rates = drifting(500)

    low, high = (watched(np.append(rates, last)) for last in (1.5, 2.5))

    assert high.margin == pytest.approx(low.margin, rel=0.1)


def test_a_pause_in_which_nobody_looked_is_taken_for_no_burst() -> None:
    rates = drifting(500)

    with_pause, without = (watched(rates, pause_s=pause_s) for pause_s in (7_200.0, 0.0))

    assert with_pause.margin == pytest.approx(without.margin, rel=0.2)


@pytest.mark.parametrize("course", [drifting, bursting])
def test_nothing_is_planned_for_what_has_stopped(course: Callable[[int], Array]) -> None:
    assert watched(np.append(course(500), 0.0)).planned == pytest.approx([0.0])


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


# --- the level or the mean of an hour ----------------------------------------------------------------------


def test_where_bursts_come_and_go_the_mean_of_an_hour_is_expected_whatever_arrives_now() -> None:
    rates = bursting(500)

    low, high = (watched(np.append(rates, last)) for last in (2.0, 10.0))

    assert low.models == high.models == ("hour",)
    assert high.planned[0] - high.margin[0] == pytest.approx(rates[-60:].mean(), rel=0.25)
    # Of the last rate it holds a sixtieth.
    assert high.planned == pytest.approx(low.planned, rel=0.1)


def test_the_margin_of_the_mean_of_an_hour_is_that_of_its_own_errors() -> None:
    rates = np.append(bursting(2_000), 10.0)

    margin = watched(rates, cold_start_s=30.0, quantile=0.9).margin[0]

    assert margin == pytest.approx(10.0 - rates[-240:].mean(), rel=0.2)


def test_where_the_level_only_trembles_it_is_kept_though_the_mean_of_an_hour_errs_less() -> None:
    rates = np.random.default_rng(2).normal(4.0, 0.2, 500)

    errors = [np.abs(rates[-240:] - said).mean() for said in (rates[-241:-1], rates.mean())]

    assert errors[1] < 0.8 * errors[0]
    assert watched(rates).models == ("level",)


def test_when_bursts_are_over_the_level_is_heard_again() -> None:
    during, after = bursting(500), drifting(240)

    assert watched(during).models == ("hour",)
    assert watched(np.concatenate((during, after))).models == ("level",)


def test_no_more_than_three_times_what_arrives_is_planned_for_whatever_came_within_the_hour() -> None:
    lull = watched(np.concatenate((bursting(500), np.full(3, 0.1))))

    assert lull.models == ("hour",)
    assert lull.planned == pytest.approx([0.3])


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
