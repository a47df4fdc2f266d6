"""The least that any policy could pay, even one that knew the future: a linear program, solved by HiGHS.

Fractions of workers, paid from the moment when they are started, in steps of five minutes: no job is done before it has
come, and all but a share of them are done one step later at the latest. So it errs on the cheap side.
"""

import numpy as np

from scheduler.forecast_models import Array
from scheduler.simulation.arrivals import STEP_S
from scheduler.simulation.plant import Plant

_STEP_S = 300.0


def least_worker_s(counts: Array, plant: Plant, *, attainment: float) -> float:
    """Seconds of workers that the jobs of each step need at least.

    Raises:
        ImportError: if scipy is not installed.
    """
    from scipy import sparse
    from scipy.optimize import linprog

    span = round(_STEP_S / STEP_S)
    jobs = np.add.reduceat(counts, np.arange(0, len(counts), span))
    steps = len(jobs)
    none = sparse.csr_matrix((steps, steps))
    eye = sparse.identity(steps, format="csr")
    rise = sparse.diags([np.ones(steps), -np.ones(steps - 1)], [0, -1], format="csr")
    # Unknowns: jobs done until each step, workers, and workers started.
    inequalities = sparse.vstack(
        (
            sparse.hstack((rise, -plant.mu * _STEP_S * eye, none)),
            sparse.hstack((-rise, none, none)),
            sparse.hstack((none, rise, -eye)),
        ),
        format="csr",
    )
    came = np.cumsum(jobs)
    due = np.concatenate(([0.0], came[:-1])) * attainment
    bounds = [*zip(due, came, strict=True), *[(0.0, None)] * (2 * steps)]
    price = np.concatenate((np.zeros(steps), np.full(steps, _STEP_S), np.full(steps, plant.cold_start_s)))
    found = linprog(price, A_ub=inequalities, b_ub=np.zeros(3 * steps), bounds=bounds, method="highs")
    return float(found.fun)
