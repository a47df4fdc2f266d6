"""How many workers each rule asks for; pools stand side by side in arrays and do not touch each other."""

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from headrace.settings import Settings
from scheduler.baseline_rules import HpaRule, KedaRule, KnativeRule, RateRule
from scheduler.forecaster import Forecaster
from scheduler.named_rules import named_rule
from scheduler.pool_scaler import Bounds, PoolScaler
from scheduler.rules import RHO, HeadraceRule, PoolLoad, Rule

COLD_S, OBJECTIVE_S = 90.0, 30.0


def load(**known: Any) -> PoolLoad:
    """One pool: nothing to do and nobody there, but for what is given."""
    usual: dict[str, float] = dict.fromkeys(PoolLoad._fields, 0.0)
    usual |= {"cold_start_s": COLD_S, "objective_s": OBJECTIVE_S} | known
    usual["planned"] = known.get("planned", usual["level"])
    usual["done_s"] = known.get("done_s", COLD_S * usual["ready"])
    return PoolLoad(**{name: np.array([float(value)]) for name, value in usual.items()})


def asked(rule: Rule, now: float = 0.0, **known: Any) -> float:
    return float(rule.workers(load(**known), now)[0])


def test_what_is_planned_for_decides_not_what_arrives_now() -> None:
    calm, careful = (asked(HeadraceRule(), ready=20, level=8.0, planned=planned) for planned in (8.0, 12.0))

    assert careful > calm


def test_what_grows_is_taken_for_a_ramp_only_when_it_is_more_than_can_be_done() -> None:
    enough, short = (asked(HeadraceRule(), ready=ready, level=8.0, growing=16.0) for ready in (10, 7))

    assert enough < 10
    assert short > 16


def test_what_those_that_are_there_or_come_will_have_done_before_another_is_ready_starts_none() -> None:
    draw = np.random.default_rng(6)

    for _ in range(1_000):
        ready, coming = int(draw.integers(1, 20)), int(draw.integers(0, 20))
        level = draw.uniform(0.0, RHO * (ready + coming))
        done_s = COLD_S * ready + draw.uniform(0.0, COLD_S) * coming
        backlog_s = max(0.0, draw.uniform(0.0, 1.0) * (done_s - level * COLD_S))
        seen = {
            "waiting": 10,
            "level": level,
            "done_s": max(done_s, level * COLD_S + backlog_s),
            "backlog_s": backlog_s,
        }

        assert asked(HeadraceRule(), ready=ready, coming=coming, **seen) <= ready + coming + 1e-9


def test_keda_sees_the_list_only() -> None:
    rule = KedaRule(target=5.0)

    assert asked(rule, waiting=0, held=50, ready=10) == 0


def test_keda_looks_every_half_minute_and_rises_no_faster_than_its_autoscaler_may() -> None:
    rule = KedaRule(target=5.0)

    first, between = asked(rule, 0.0, waiting=1_000, ready=2), asked(rule, 16.0, waiting=0, ready=6)
    later = asked(rule, 31.0, waiting=0, ready=12)

    assert (first, between, later) == (6, 12, 0)


@pytest.mark.parametrize(("length", "expected"), [(54, 10), (46, 10), (56, 12), (44, 9)])
def test_keda_leaves_what_is_off_by_a_tenth_at_most(length: int, expected: int) -> None:
    assert asked(KedaRule(target=5.0), waiting=length, ready=10) == expected


def test_the_horizontal_autoscaler_goes_by_how_busy_workers_are() -> None:
    assert asked(HpaRule(target=0.7), held=10, ready=10) == 15
    assert asked(HpaRule(target=0.7), held=3, ready=10) == 5


def test_knative_goes_by_all_jobs_over_a_minute() -> None:
    rule = KnativeRule(target=2.0)

    counts = [asked(rule, now, held=4, ready=4) for now in (0.0, 15.0, 30.0)]
    lower = asked(rule, 45.0, held=0, ready=4)

    assert counts == [2, 2, 2]
    assert lower == 2


def test_knative_in_panic_rises_at_once_and_does_not_fall() -> None:
    rule = KnativeRule(target=1.0)
    asked(rule, 0.0, held=2, ready=4)

    panic = asked(rule, 7.0, waiting=20, ready=4)
    calmer = asked(rule, 30.0, waiting=2, ready=4)
    over = asked(rule, 70.0, waiting=2, ready=4)

    assert panic == 20
    assert calmer == 20
    assert over < 20


def test_the_rate_rule_does_not_mind_what_waits() -> None:
    idle, full = (asked(RateRule(target=0.9), waiting=waiting, level=9.0) for waiting in (0, 10_000))

    assert idle == full == pytest.approx(10.0)


@pytest.mark.parametrize(
    "text", ["headrace", "headrace:0.8", "headrace:1.2:.5", "keda", "keda:60", "hpa:0.5", "knative", "rate:1"]
)
def test_rules_have_names(text: str) -> None:
    assert named_rule(text).name == text.partition(":")[0]
    assert Settings(scaling_rule=text).scaling_rule == text


def test_ours_may_be_told_the_share_and_how_sure_to_be() -> None:
    rule = named_rule("headrace:0.5:0.75")

    assert rule.quantile == 0.75
    assert asked(rule, ready=8, level=4.0) == pytest.approx(8.0)
    assert named_rule("headrace").quantile is None


@pytest.mark.parametrize(
    "text", ["", "prophet", "keda:", "headrace:", "headrace:0", "headrace:0.8:2", "keda:0.0", "keda:5:0.5", "keda:-1"]
)
def test_another_name_is_refused_with_those_that_there_are(text: str) -> None:
    with pytest.raises(ValueError, match="choose headrace, keda, hpa, knative, rate"):
        named_rule(text)
    with pytest.raises(ValidationError):
        Settings(scaling_rule=text)


def bounds(pools: int) -> Bounds:
    return Bounds(np.zeros(pools), np.full(pools, 100.0), np.full(pools, 300.0))


def test_a_pool_decides_as_if_it_were_alone() -> None:
    draw = np.random.default_rng(5)
    rates = draw.uniform(1.0, 20.0, (400, 3))

    def counts(columns: list[int]) -> list[list[float]]:
        pools = len(columns)
        scaler = PoolScaler(pools=pools, rule=HeadraceRule(), forecaster=Forecaster(pools=pools))
        found, cold_s, objective_s = [], np.full(pools, COLD_S), np.full(pools, OBJECTIVE_S)
        for step, row in enumerate(rates[:, columns]):
            outlook = scaler.outlook(row, row, cold_s, objective_s, step * 15.0)
            zero = np.zeros(pools)
            seen = PoolLoad(
                zero, zero, zero, row, outlook.planned, outlook.growing, zero, zero, zero, cold_s, objective_s
            )
            asked = scaler.fractions(seen, step * 15.0)
            found.append(list(scaler.counts(asked, seen, bounds(pools), step * 15.0).workers))
        return found

    together = counts([0, 1, 2])

    assert [row[1:2] for row in together] == counts([1])
