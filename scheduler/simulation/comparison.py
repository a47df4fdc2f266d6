"""The comparison of our policy with tuned others on one trace: what `python -m scheduler.simulate` prints."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from scheduler.simulation import fluid
from scheduler.simulation.arrivals import Jobs
from scheduler.simulation.front import OUR_RANGES, OURS, Point, Range, best, cost_at, explore, interval
from scheduler.simulation.lower_bound import least_worker_s
from scheduler.simulation.plant import Engine, Outcome, Plant

#: Share of the jobs that are to wait no longer than the objective.
GOAL = 0.999


class Row(NamedTuple):
    """One policy at its best setting; means over the seeds, `within` is half of a 95 % confidence interval."""

    policy: str
    cold_start_s: float
    knob: float
    attainment: float
    attainment_within: float
    cost_over_minimum: float
    cost_within: float
    cost_over_lp: float
    changes_per_hour: float
    #: What our front costs at the same attainment, over what this costs; below 1 we are cheaper.
    ours_at_equal_attainment: float
    #: The same for this policy's setting that is best off in comparison with us.
    ours_at_worst: float


class Comparison(NamedTuple):
    """Rows, and one run to draw."""

    rows: list[Row]
    plant: Plant
    shown: Outcome


def compare(
    jobs: Jobs, plant: Plant, baselines: Sequence[Range], *, window_s: float, engine: Engine = fluid.simulate
) -> Comparison:
    """Our policy as it is, and each baseline tuned, with the same seeds."""
    explored = partial(explore, jobs=jobs, plant=plant, engine=engine)
    ours, shown = explored(OURS._replace(window_s=window_s))
    front = [point for reach in OUR_RANGES for point in explored(reach)[0]] if baselines else ours
    front += ours
    least = [least_worker_s(counts, plant, attainment=GOAL) * plant.mu / counts.sum() for counts in jobs.counts.T[:3]]
    found = [_row(ours, best(ours, GOAL), front, plant, float(np.mean(least)))]
    for reach in baselines:
        points, _ = explored(reach)
        found.append(_row(points, best(points, GOAL), front, plant, float(np.mean(least))))
    return Comparison(found, plant, shown)


def _row(points: Sequence[Point], chosen: Point, front: Sequence[Point], plant: Plant, least: float) -> Row:
    ratios = {point.knob: cost_at(front, point.mean_attainment) / point.mean_cost for point in points}
    return Row(
        policy=chosen.policy,
        cold_start_s=plant.cold_start_s,
        knob=chosen.knob,
        attainment=chosen.mean_attainment,
        attainment_within=interval(chosen.attainment),
        cost_over_minimum=chosen.mean_cost,
        cost_within=interval(chosen.cost),
        cost_over_lp=chosen.mean_cost / least,
        changes_per_hour=float(chosen.changes_per_hour.mean()),
        ours_at_equal_attainment=ratios[chosen.knob],
        ours_at_worst=max(ratios.values()),
    )


def table(rows: Sequence[Row]) -> Iterator[str]:
    """The rows for people."""
    names = ("cold start", "policy", "knob", "in time %", "cost", "cost/LP", "changes/h", "ours at equal", "at worst")
    yield _LINE.format(*names)
    for row in rows:
        attained = f"{100 * row.attainment:.3f} ± {100 * row.attainment_within:.3f}"
        cost = f"{row.cost_over_minimum:.3f} ± {row.cost_within:.3f}"
        figures = (row.cost_over_lp, row.changes_per_hour, row.ours_at_equal_attainment, row.ours_at_worst)
        cold_start = f"{row.cold_start_s:g} s"
        yield _LINE.format(cold_start, row.policy, f"{row.knob:g}", attained, cost, *(f"{x:.3f}" for x in figures))


_LINE = "{:>10}  {:<9}{:>6}{:>17}{:>16}{:>9}{:>11}{:>15}{:>10}"
