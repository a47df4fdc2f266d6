"""The comparison of our policy with tuned others on one trace: what `python -m scheduler.simulate` prints."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np

from scheduler.simulation import fluid
from scheduler.simulation.arrivals import Jobs
from scheduler.simulation.front import OURS, Point, Range, best, cost_at, explore, interval, our_ranges, points_of
from scheduler.simulation.lower_bound import least_worker_s
from scheduler.simulation.plant import Engine, Outcome, Plant

#: Share of the jobs that are to wait no longer than the objective.
GOAL = 0.999
#: A setting that attains less is no choice for anybody, and not compared.
_WORTH = 0.9


class Row(NamedTuple):
    """One policy at its best setting; means over the seeds, `within` is half of a 95 % confidence interval."""

    policy: str
    cold_start_s: float
    target: float
    attainment: float
    attainment_within: float
    cost_over_minimum: float
    cost_within: float
    cost_over_lp: float
    changes_per_hour: float
    #: What our front costs at the same attainment, over what this costs; below 1 we are cheaper.
    ours_at_equal_attainment: float
    #: The same for this policy's setting that is best off in comparison with us, of those that attain nine tenths.
    ours_at_worst: float


class Comparison(NamedTuple):
    """Rows, and one run to draw."""

    rows: list[Row]
    plant: Plant
    shown: Outcome


def compare(
    jobs: Jobs,
    plant: Plant,
    baselines: Sequence[Range],
    *,
    window_s: float,
    engine: Engine = fluid.simulate,
    processes: int = 1,
) -> Comparison:
    """Our policy as it is, and each baseline tuned, with the same seeds."""
    ours, shown = explore(OURS._replace(window_s=window_s), jobs, plant, engine=engine)
    ranges = [*our_ranges(plant), *baselines] if baselines else []
    found = _explored(partial(points_of, jobs=jobs, plant=plant, engine=engine), ranges, processes)
    front = ours + [point for point in found if point.policy == OURS.policy]
    least = [least_worker_s(counts, plant, attainment=GOAL) * plant.mu / counts.sum() for counts in jobs.counts.T[:3]]
    row = partial(_row, front=front, plant=plant, least=float(np.mean(least)))
    rows = [row(ours)]
    rows += [row([point for point in found if point.policy == reach.policy]) for reach in baselines]
    return Comparison(rows, plant, shown)


def _explored(points_of_range: Callable[[Range], list[Point]], ranges: Sequence[Range], processes: int) -> list[Point]:
    if processes == 1 or len(ranges) == 1:
        return [point for reach in ranges for point in points_of_range(reach)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return [point for points in pool.map(points_of_range, ranges) for point in points]


def _row(points: Sequence[Point], *, front: Sequence[Point], plant: Plant, least: float) -> Row:
    chosen = best(points, GOAL)
    ratios = {point.target: cost_at(front, point.mean_attainment) / point.mean_cost for point in points}
    return Row(
        policy=chosen.policy,
        cold_start_s=plant.cold_start_s,
        target=chosen.target,
        attainment=chosen.mean_attainment,
        attainment_within=interval(chosen.attainment),
        cost_over_minimum=chosen.mean_cost,
        cost_within=interval(chosen.cost),
        cost_over_lp=chosen.mean_cost / least,
        changes_per_hour=float(chosen.changes_per_hour.mean()),
        ours_at_equal_attainment=ratios[chosen.target],
        ours_at_worst=max(
            (ratios[point.target] for point in points if point.mean_attainment >= _WORTH), default=np.nan
        ),
    )


def table(rows: Sequence[Row]) -> Iterator[str]:
    """The rows for people."""
    names = ("cold start", "policy", "target", "in time %", "cost", "cost/LP", "changes/h", "ours at equal", "at worst")
    yield _LINE.format(*names)
    for row in rows:
        attained = f"{100 * row.attainment:.3f} ± {100 * row.attainment_within:.3f}"
        cost = f"{row.cost_over_minimum:.3f} ± {row.cost_within:.3f}"
        figures = (row.cost_over_lp, row.changes_per_hour, row.ours_at_equal_attainment, row.ours_at_worst)
        cold_start = f"{row.cold_start_s:g} s"
        yield _LINE.format(cold_start, row.policy, f"{row.target:g}", attained, cost, *(f"{x:.3f}" for x in figures))


_LINE = "{:>10}  {:<9}{:>8}{:>17}{:>16}{:>9}{:>11}{:>15}{:>10}"
