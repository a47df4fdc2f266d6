"""Rules that turn the load of pools into numbers of workers, as fractions. Pure; one entry of each array is one pool.

`HeadraceRule` is what the scheduler runs by; `baseline_rules` has those of other systems, to be compared or chosen.
"""

from typing import NamedTuple, Protocol

import numpy as np

from scheduler.forecast_models import Array

#: Share of a worker's time that is planned with; the rest takes up what averages hide.
RHO = 0.92

_LEAST = 0.001


class PoolLoad(NamedTuple):
    """What pools have to do and to do it with. Work is in seconds of one worker's time."""

    #: Jobs that are ready, and that workers hold.
    waiting: Array
    held: Array
    #: The work in both.
    backlog_s: Array
    #: Work that arrives each second: the moving mean, and what is planned for.
    level: Array
    planned: Array
    #: What will arrive each second if it grows on as it did.
    growing: Array
    #: Workers that can run a model, and those that will.
    ready: Array
    coming: Array
    #: Seconds of work that ready and coming workers do within the cold start.
    done_s: Array
    cold_start_s: Array
    objective_s: Array
    #: Workers that deadlines ask for, with those that are there, and how many of them are busy with that.
    urgent: Array | float = 0.0
    due_busy: Array | float = 0.0

    @property
    def jobs(self) -> Array:
        """Jobs that are not done."""
        return self.waiting + self.held

    @property
    def present(self) -> Array:
        """Workers that work or will."""
        return self.ready + self.coming


class Tolerances(NamedTuple):
    """For which part of the present workers none is started, and none given up."""

    up: float = 0.0
    down: float = 0.0


class Rule(Protocol):
    """How many workers pools should have."""

    name: str
    tolerances: Tolerances
    #: True if fewer workers are held back by the window of the pool; false if the rule has a window of its own.
    uses_window: bool
    #: How sure the forecast is to be that the rule plans with; None: as sure as the cold start asks for.
    quantile: float | None
    #: For how many cold starts the last worker stays though nothing is to be done.
    warm_starts: float

    def workers(self, load: PoolLoad, now: float) -> Array:
        """Decide; `now` is monotonic seconds."""


class HeadraceRule:
    """Keep up with what is planned for, and be done in time with what will still wait when a new worker is ready.

        steady    planned / RHO
        deadlines what `due_work` says that it takes to keep them
        backlog   (waiting + held + level * C - what ready and coming workers do within the cold start C) / max(S, C)

    with S the objective for waiting, and never less than would do if all were ready now.
    """

    name = "headrace"
    tolerances = Tolerances(up=0.05, down=0.15)
    uses_window = True
    # To start one again costs its own cold start, and the first jobs wait for it: taken for two more of its time. Kept
    # for as long as that is worth, the last one costs twice at most what it would if the next job were known (Karlin et
    # al., Competitive Snoopy Caching, 1988: skis are rented until they could have been bought).
    warm_starts = 3.0

    def __init__(self, *, target: float | Array = RHO, quantile: float | None = None) -> None:
        self._rho = target
        self.quantile = quantile

    def workers(self, load: PoolLoad, now: float) -> Array:  # noqa: ARG002 - remembers nothing
        """Decide."""
        due_s = load.backlog_s + load.level * load.cold_start_s
        # Only what is more than planned is taken for a ramp; else each burst would be one.
        rate = np.where(due_s > load.done_s, np.maximum(load.planned, load.growing), load.planned)
        steady = rate / self._rho
        # What is late already cannot be saved: no burst of workers is bought for an objective below the cold start.
        within_s = np.maximum(load.objective_s, load.cold_start_s)
        started = steady + np.maximum(0.0, due_s - load.done_s) / within_s
        # As many would do if they were all ready now. Without it more ready workers would make each burst look smaller
        # than the one before, and the number would swing.
        standing = (steady * within_s + due_s) / (within_s + load.cold_start_s)
        # Deadlines that are closer than the objective: those that are there must be able to keep them, else more.
        wanted = np.maximum(np.maximum(started, standing), np.maximum(load.urgent, steady + load.due_busy))
        # As long as there is a job there is somebody to do it, however little it is.
        return np.where(load.jobs > 0, np.maximum(wanted, _LEAST), wanted)
