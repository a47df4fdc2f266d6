"""CostGuard: which workers are not worth their price. Pure.

Work that keeps coming has to be done, and takes the workers that it takes. Those beyond are bought for time, so that
jobs do not wait longer than the objective. The last one of them is started only if

    late_cost * jobs that it makes punctual  >  price * max(C + use, least_paid_s)

with `use` the time that it stays at least (the window in which fewer must have been enough, or the objective), and the
jobs what it does in that time of what it is wanted for. Without a `late_cost` the objective alone decides.
"""

import math
from typing import NamedTuple

from headrace.worker_class import WorkerClass
from scheduler.demand import Demand
from scheduler.observation import ClassLoad
from scheduler.pool_scaler import LEAST_WINDOW, SLACK


class Guarded(NamedTuple):
    """What is left of a fraction of workers, and why."""

    workers: float
    reasons: tuple[str, ...] = ()


def guard(workers: float, demand: Demand, load: ClassLoad, kind: WorkerClass) -> Guarded:
    """Take away from the workers that are asked for what is not worth starting."""
    whole = math.ceil(workers - SLACK)
    kept_anyway = max(math.ceil(demand.arriving - SLACK), load.ready + load.coming, kind.min_workers, 1)
    if not kind.late_cost or not demand.job_s or whole <= kept_anyway:
        return Guarded(workers)
    use_s = max(kind.scale_down_window_s, LEAST_WINDOW * load.cold_start_s, kind.wait_objective_s)
    price = kind.price_per_hour / 3600 * max(load.cold_start_s + use_s, kind.least_paid_s)
    left = whole
    while left > kept_anyway and _gain(min(1.0, workers - (left - 1)), use_s, demand, kind) <= price:
        left -= 1
    if left == whole:
        return Guarded(workers)
    jobs = min(1.0, workers - left) * use_s / demand.job_s
    worth = f"another would make {jobs:.0f} jobs punctual, worth {kind.late_cost * jobs:.3g}, and cost {price:.3g}"
    return Guarded(float(left), (f"{whole - left} fewer: {worth}",))


def _gain(part: float, use_s: float, demand: Demand, kind: WorkerClass) -> float:
    """What a worker is worth of which this part is wanted."""
    return kind.late_cost * part * use_s / demand.job_s
