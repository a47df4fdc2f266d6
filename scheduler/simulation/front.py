"""Fronts: each policy over the range of its settings, as cost against attainment, so that none is compared untuned."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from scheduler.baseline_rules import HpaRule, KedaRule, KnativeRule, RateRule
from scheduler.forecast_models import Array
from scheduler.forecaster import Forecaster, Outlook
from scheduler.pool_scaler import LEAST_WINDOW, PoolScaler
from scheduler.rules import RHO, HeadraceRule, Rule
from scheduler.simulation import fluid
from scheduler.simulation.arrivals import Jobs
from scheduler.simulation.plant import Engine, Outcome, Plant


class Range(NamedTuple):
    """One policy, the values that its target may have, and how long it holds workers that it could spare."""

    policy: str
    rule: Callable[..., Rule]
    targets: tuple[float, ...]
    window_s: float
    #: How sure the forecast is to be; None: as sure as the cold start asks for.
    quantile: float | None = None


OURS = Range("headrace", HeadraceRule, (RHO,), 900.0)
#: Ours when it may be set: the planned share of a worker's time.
_SHARES = (
    *(0.25, 0.3, 0.35, 0.375, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7, 0.8, 0.9),
    *(0.95, 1.0, 1.05, 1.1, 1.2, 1.3, 1.4, 1.5, 2.0),
)
_WINDOWS_S = (0.0, 300.0, 600.0, 900.0)
BASELINE_RANGES = (
    Range("keda", KedaRule, (1, 2, 5, 10, 20, 40, 60, 120), 300.0),
    Range("hpa", HpaRule, (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95), 300.0),
    Range("knative", KnativeRule, (0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.5, 2), 300.0),
    Range("rate", RateRule, (0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0, 1.05), 300.0),
)


def our_ranges(plant: Plant) -> list[Range]:
    """Ours with every window that makes a difference, with the margin of its own choice and with hardly any."""
    windows_s = sorted({max(window_s, LEAST_WINDOW * plant.cold_start_s) for window_s in _WINDOWS_S})
    # Where workers start within the objective, ours wants no more margin anyway.
    quantiles = (None, 0.5) if plant.cold_start_s > plant.objective_s else (None,)
    return [
        OURS._replace(targets=_SHARES, window_s=window_s, quantile=quantile)
        for window_s in windows_s
        for quantile in quantiles
    ]


class Point(NamedTuple):
    """One setting of a policy: each array has one entry for each seed."""

    policy: str
    target: float
    attainment: Array
    #: Worker time over the work that there was to do.
    cost: Array
    changes_per_hour: Array

    @property
    def mean_attainment(self) -> float:
        """Over the seeds."""
        return float(self.attainment.mean())

    @property
    def mean_cost(self) -> float:
        """Over the seeds."""
        return float(self.cost.mean())


def explore(reach: Range, jobs: Jobs, plant: Plant, *, engine: Engine = fluid.simulate) -> tuple[list[Point], Outcome]:
    """Every setting of one policy with every seed, side by side."""
    seeds, targets = jobs.counts.shape[1], len(reach.targets)
    rule = reach.rule(target=np.repeat(np.array(reach.targets, dtype=np.float64), seeds))
    forecaster = _SharedForecaster(pools=seeds, times=targets, quantile=reach.quantile)
    scaler = PoolScaler(pools=seeds * targets, rule=rule, forecaster=forecaster)
    outcome = engine(np.tile(jobs.counts, (1, targets)), scaler, plant._replace(window_s=reach.window_s))
    costs = outcome.worker_s * plant.mu / outcome.jobs
    hours = jobs.seconds / 3600

    def of(values: Array, place: int) -> Array:
        return values[place * seeds : (place + 1) * seeds]

    points = [
        Point(reach.policy, target, of(outcome.attainment, at), of(costs, at), of(outcome.turns, at) / hours)
        for at, target in enumerate(reach.targets)
    ]
    return points, outcome


def points_of(reach: Range, jobs: Jobs, plant: Plant, engine: Engine) -> list[Point]:
    """The same without the course of it, for another process to answer."""
    return explore(reach, jobs, plant, engine=engine)[0]


class _SharedForecaster(Forecaster):
    """Forecasts once for systems that stand side by side so many times and meet the same arrivals."""

    def __init__(self, *, pools: int, times: int, quantile: float | None) -> None:
        super().__init__(pools=pools, quantile=quantile)
        self._distinct, self._times = pools, times

    def update(self, arriving: Array, level: Array, horizon_s: Array, quantile: Array, now: float) -> Outlook:
        """Learn and look ahead."""
        first = slice(self._distinct)
        outlook = super().update(arriving[first], level[first], horizon_s[first], quantile[first], now)
        planned, growing, margin = (np.tile(x, self._times) for x in (outlook.planned, outlook.growing, outlook.margin))
        return Outlook(level, planned, growing, margin, outlook.models * self._times)


def cost_at(points: Sequence[Point], attainment: float) -> float:
    """What the cheapest setting costs that attains so much; infinite if none does."""
    return min((point.mean_cost for point in points if point.mean_attainment >= attainment), default=np.inf)


def best(points: Sequence[Point], attainment: float) -> Point:
    """The cheapest setting that attains so much, else the one that attains most."""
    enough = [point for point in points if point.mean_attainment >= attainment]
    return min(enough, key=lambda point: point.mean_cost) if enough else max(points, key=lambda p: p.mean_attainment)


def interval(values: Array) -> float:
    """Half of the 95 % confidence interval of a mean over seeds."""
    if len(values) < 2:
        return 0.0
    return float(_STUDENT[min(len(values), len(_STUDENT) + 1) - 2] * values.std(ddof=1) / np.sqrt(len(values)))


#: Quantile 97.5 % of Student's t with 1, 2, … degrees of freedom.
_STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.10)
