"""When a job that waits will start and end, and how wrong that was lately.

Pure. The expected time is `rounds of full passes ahead x length of a pass`, and for the start half of what a pass under
way still takes. How far off that is grows with what is ahead; in units of that growth it is learned from jobs that have
ended: p50 and p90 are the quantiles of the errors of the latest ones (split conformal prediction, Lei et al. 2018, over
a sliding window). So they hold whatever the workers do, and the share of jobs that kept their p90 is known.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Self

from headrace.groups import group_of, split_group
from headrace.model_ref import ModelRef
from headrace.presence import ModelPresence, ModelState, WorkerPresence, WorkerState
from headrace.tiers import Tier

#: Errors that quantiles are taken of, how many there must be, and after how many more they are taken anew.
_WINDOW, _LEAST, _ANEW = 400, 20, 10
#: Ended jobs over which it is judged whether the p90 holds, and how many it takes.
_JUDGED, _JUDGEABLE = 400, 50
#: Nobody is told an estimate of which fewer kept their p90.
_BAD_SHARE = 0.7
#: The rank of the p90 among the errors.
_RANK = 0.92
#: And this is what a p90 should keep.
_GOOD = (0.85, 0.97)
#: Standard deviation of an error, in passes: of the rest of the pass under way, of each pass, of all passes alike.
_REST, _EACH, _ALIKE = 0.29, 0.04, 0.01
#: Quantiles of errors in these units that hold before anything is known, with no, one, two, or more batches ahead. What
#: a worker says of itself is a second old: one that was idle then may have begun a pass.
_PRIORS = ((0.0, 3.4), (0.5, 1.7), (0.0, 1.6), (0.0, 1.6))


class Confidence(StrEnum):
    """How well an estimate is founded."""

    #: On few jobs that ended, or none.
    LOW = "low"
    MEDIUM = "medium"
    #: On many, of which about nine in ten kept their p90.
    HIGH = "high"


class Basis(StrEnum):
    """What an estimate was computed from."""

    #: What the workers have done so far.
    THROUGHPUT = "throughput"
    #: How long starts of workers took lately.
    COLD_START = "cold_start"


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast the ready workers of a model version are, and what they have already."""

    workers: int
    #: Of them, in a forward pass.
    busy: int
    #: Length of a pass, seconds.
    pass_s: float
    #: Jobs of a full one.
    batch: float
    #: Jobs of this version and tier that are claimed and in no pass.
    staged: int

    @classmethod
    def of(cls, workers: Sequence[WorkerPresence], ref: ModelRef, tier: Tier) -> Self | None:
        """From what workers say of themselves; None if nobody is ready, or has run a pass."""
        ready = [worker for worker in workers if serves(worker, ref, tier)]
        models = [worker.models[str(ref)] for worker in ready]
        passes = sum(model.passes for model in models)
        if not passes:
            return None
        pass_s = sum(model.busy_s for model in models) / passes
        mean_batch = sum(model.jobs for model in models) / passes
        loads = [load for worker in workers for group, load in worker.groups.items() if _is_of(group, ref)]
        return cls(
            workers=len(ready),
            busy=sum(any(load.running for load in worker.groups.values()) for worker in ready),
            pass_s=max(pass_s, 1e-6),
            batch=max(1.0, mean_batch, *(pass_s / model.job_s for model in models if model.job_s)),
            staged=sum(load.held - load.running for load in loads),
        )


def serves(worker: WorkerPresence, ref: ModelRef, tier: Tier) -> bool:
    """Tell whether a worker is ready to run jobs of this version and tier."""
    model: ModelPresence | None = worker.models.get(str(ref))
    is_ready = model is not None and model.state is ModelState.READY
    is_ours = tier in worker.tiers and group_of(ref, tier) not in worker.left
    return is_ready and is_ours and worker.state is WorkerState.READY


def _is_of(group: str, ref: ModelRef) -> bool:
    return split_group(group)[0] == ref


class Estimate(NamedTuple):
    """When a job will start and end, in seconds from now."""

    #: Passes, one of each worker at a time, that come before the one it is in.
    batches_ahead: int
    start_p50_s: float
    start_p90_s: float
    finish_p50_s: float
    finish_p90_s: float
    confidence: Confidence
    #: Without regard to what was learned from errors, and the unit in which these are learned.
    expected_s: float
    unit_s: float
    basis: Basis = Basis.THROUGHPUT


class _Errors:
    """The latest errors of estimates that are alike, with two of their quantiles."""

    def __init__(self, prior: tuple[float, float]) -> None:
        self._latest: deque[float] = deque(maxlen=_WINDOW)
        self._since = 0
        #: The p50 and p90.
        self.quantiles = prior

    @property
    def is_known(self) -> bool:
        """True once there are enough."""
        return len(self._latest) >= _LEAST

    def add(self, error: float) -> None:
        """One more."""
        self._latest.append(error)
        self._since += 1
        if self.is_known and self._since >= _ANEW:
            self._since, ordered = 0, sorted(self._latest)
            # A little beyond the ninth tenth: jobs that wait together err alike, so they say less than as many.
            self.quantiles = ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(_RANK * (len(ordered) + 1)))]


class Forecaster:
    """Estimates for one model version; learns from the jobs that end."""

    def __init__(self) -> None:
        self._errors = tuple(map(_Errors, _PRIORS))
        self._kept: deque[bool] = deque(maxlen=_JUDGED)
        #: How many of these are true: each estimate asks.
        self._kept_lately = 0
        #: Jobs that ended before their p90, and after it, since ever.
        self.kept = self.late = 0

    @property
    def share_kept(self) -> float | None:
        """Share of the latest jobs that ended before their p90; None while too few have."""
        return self._kept_lately / len(self._kept) if len(self._kept) >= _JUDGEABLE else None

    @property
    def is_bad(self) -> bool:
        """True while estimates are so often wrong that nobody should be told them."""
        share = self.share_kept
        return share is not None and share < _BAD_SHARE

    def estimate(self, pace: Pace, ahead: int) -> Estimate:
        """For a job with so many before it in its queue."""
        # Whoever waits in the queue has seen no idle worker.
        is_busy = ahead > 0 or pace.busy >= pace.workers
        rounds = int((ahead + pace.staged) / (pace.batch * pace.workers))
        batches_ahead = rounds + is_busy
        # Of the passes under way the first to end has on average this much left.
        rest_s = pace.pass_s / (pace.workers + 1) if is_busy else 0.0
        expected_s = rest_s + (rounds + 1) * pace.pass_s
        unit_s = pace.pass_s * math.sqrt(_REST**2 + rounds * _EACH**2 + (rounds * _ALIKE) ** 2)
        p50_s, p90_s = (expected_s + factor * unit_s for factor in self._like(batches_ahead).quantiles)
        return Estimate(
            batches_ahead=batches_ahead,
            start_p50_s=max(0.0, p50_s - pace.pass_s),
            start_p90_s=max(0.0, p90_s - pace.pass_s),
            finish_p50_s=p50_s,
            finish_p90_s=p90_s,
            confidence=self._confidence(batches_ahead),
            expected_s=expected_s,
            unit_s=unit_s,
        )

    def ended(self, estimate: Estimate, took_s: float) -> None:
        """A job of which this was the estimate has ended so many seconds later."""
        self._like(estimate.batches_ahead).add((took_s - estimate.expected_s) / estimate.unit_s)
        is_kept = took_s <= estimate.finish_p90_s
        self._kept_lately += is_kept - (len(self._kept) == _JUDGED and self._kept[0])
        self._kept.append(is_kept)
        self.kept += is_kept
        self.late += not is_kept

    def _like(self, batches_ahead: int) -> _Errors:
        return self._errors[min(batches_ahead, len(_PRIORS) - 1)]

    def _confidence(self, batches_ahead: int) -> Confidence:
        if not self._like(batches_ahead).is_known or (share := self.share_kept) is None:
            return Confidence.LOW
        return Confidence.HIGH if _GOOD[0] <= share <= _GOOD[1] else Confidence.MEDIUM
