"""Fronts: each policy over the range of its one knob, as cost against attainment, so that none is compared untuned."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from scheduler.baseline_rules import HpaRule, KedaRule, KnativeRule, RateRule
from scheduler.forecast_models import Array
from scheduler.forecaster import Forecaster
from scheduler.pool_scaler import PoolScaler
from scheduler.rules import RHO, HeadraceRule, Rule
from scheduler.simulation import fluid
from scheduler.simulation.arrivals import Jobs
from scheduler.simulation.plant import Engine, Outcome, Plant

_Maker = Callable[[Array], Rule]


class Range(NamedTuple):
    """One policy, the values that its knob may have, and how long it holds workers that it could spare."""

    policy: str
    make: _Maker
    knobs: tuple[float, ...]
    window_s: float


OURS = Range("headrace", lambda rho: HeadraceRule(rho=rho), (RHO,), 900.0)
#: Ours when it may be set: the planned share of a worker's time, over a short window and a long one.
OUR_RANGES = (
    Range("headrace", lambda rho: HeadraceRule(rho=rho), (0.7, 0.85, 0.95, 1.1, 1.3), 900.0),
    Range("headrace, short window", lambda rho: HeadraceRule(rho=rho), (0.7, 0.85, 0.95, 1.1, 1.3), 300.0),
)
BASELINE_RANGES = (
    Range("keda", lambda target: KedaRule(target=target), (1, 2, 5, 10, 20, 60), 300.0),
    Range("hpa", lambda target: HpaRule(target=target), (0.4, 0.5, 0.6, 0.7, 0.8, 0.9), 300.0),
    Range("knative", lambda target: KnativeRule(target=target), (0.3, 0.5, 0.7, 0.9, 1, 2), 300.0),
    Range("rate", lambda target: RateRule(target=target), (0.5, 0.6, 0.7, 0.8, 0.9, 1.0), 300.0),
)


class Point(NamedTuple):
    """One setting of a policy: each array has one entry for each seed."""

    policy: str
    knob: float
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
    seeds, knobs = jobs.counts.shape[1], len(reach.knobs)
    columns = np.tile(jobs.counts, (1, knobs))
    rule = reach.make(np.repeat(np.array(reach.knobs, dtype=np.float64), seeds))
    scaler = PoolScaler(pools=seeds * knobs, rule=rule, forecaster=Forecaster(pools=seeds * knobs))
    outcome = engine(columns, scaler, plant._replace(window_s=reach.window_s))
    costs = outcome.worker_s * plant.mu / outcome.jobs
    hours = jobs.seconds / 3600

    def of(values: Array, place: int) -> Array:
        return values[place * seeds : (place + 1) * seeds]

    points = [
        Point(reach.policy, knob, of(outcome.attainment, at), of(costs, at), of(outcome.turns, at) / hours)
        for at, knob in enumerate(reach.knobs)
    ]
    return points, outcome


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
