"""What both engines are told of workers, and what they answer; one entry of each array is one simulated system."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scheduler.forecast_models import Array
from scheduler.pool_scaler import PoolScaler


class Plant(NamedTuple):
    """What workers are: how long they take to start, and how much one does."""

    cold_start_s: float
    #: Jobs a second of one worker.
    mu: float = 2.0
    #: Jobs that have waited longer are late.
    objective_s: float = 30.0
    window_s: float = 900.0
    most: int = 60
    least: int = 0
    #: Most jobs of a pass; a liquid has none.
    max_batch: int = 4


class Outcome(NamedTuple):
    """What happened, one entry for each column."""

    jobs: Array
    late: Array
    #: Seconds that all jobs together waited.
    waited_s: Array
    #: Seconds of workers, from the moment they are asked for.
    worker_s: Array
    starts: Array
    #: How often the number began to fall after rising, or to rise after falling.
    turns: Array
    #: Rows are steps.
    alive: NDArray[np.int32]
    ready: NDArray[np.int32]
    backlog: NDArray[np.float32]

    @property
    def attainment(self) -> Array:
        """Share of the jobs that waited no longer than the objective."""
        return 1 - self.late / self.jobs

    @property
    def mean_wait_s(self) -> Array:
        """Of a job."""
        return self.waited_s / self.jobs


#: Jobs of each step (row) and system (column) in, with a scaler that decides at each step for all columns.
Engine = Callable[[Array, PoolScaler, Plant], Outcome]


def turns_of(alive: NDArray[np.int32]) -> Array:
    """How often each column changes direction."""
    turns = np.zeros(alive.shape[1])
    for column in range(alive.shape[1]):
        steps = np.diff(alive[:, column])
        signs = np.sign(steps[steps != 0])
        turns[column] = np.count_nonzero(signs[1:] != signs[:-1])
    return turns
