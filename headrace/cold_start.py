"""Cold start: workers on their way that will run a model version, as the scheduler and they themselves say. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from headrace import worker_fit
from headrace.eta import Basis, Confidence, Estimate
from headrace.model_ref import ModelRef
from headrace.presence import ModelState, WorkerPresence, WorkerState
from headrace.scaling import ClassScaling, ScalingReport
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass

#: A start may take so much longer than the longest of the last ones.
_LATE = 1.25
#: One that takes longer than the last ones is thought to take this much of them still, and clocks may be wrong.
_LEAST = 0.1


class ColdStart(NamedTuple):
    """Workers of one class on their way."""

    worker_class: str
    workers: int
    #: Until the first of them can run the version.
    left_s: float

    @property
    def explanation(self) -> str:
        """A sentence for whoever waits."""
        some = "1 worker" if self.workers == 1 else f"{self.workers} workers"
        return f"scaling up: {some} of class {self.worker_class} on the way, ready in about {self.left_s:.0f} s"

    def estimate(self, *, ahead: int, job_s: float) -> Estimate:
        """When a job will start and end that has so many before it, each of which takes a worker `job_s`."""
        start_s = self.left_s + ahead * job_s / self.workers
        return Estimate(
            batches_ahead=0,
            start_p50_s=start_s,
            start_p90_s=_LATE * start_s,
            finish_p50_s=start_s + job_s,
            finish_p90_s=_LATE * (start_s + job_s),
            confidence=Confidence.LOW,
            expected_s=start_s + job_s,
            unit_s=start_s + job_s,
            basis=Basis.COLD_START,
        )


def cold_start_of(
    ref: ModelRef,
    tier: Tier,
    *,
    workers: Sequence[WorkerPresence],
    report: ScalingReport,
    classes: Mapping[str, WorkerClass],
    now_ms: int,
) -> ColdStart | None:
    """The workers that will be the first to run a version's jobs of a tier; None if none is on its way.

    Args:
        ref: the version.
        tier: of the jobs.
        workers: those that live.
        report: how many the scheduler wants, and how long their starts took.
        classes: by name.
        now_ms: Unix milliseconds.
    """
    coming = (
        ColdStart(row.worker_class, len(lefts), min(lefts))
        for row in report.classes
        if (kind := classes.get(row.worker_class)) is not None and worker_fit.serves(kind, ref.name, tier)
        if (lefts := list(_lefts_s(row, str(ref), workers, now_ms)))
    )
    return min(coming, key=lambda cold: cold.left_s, default=None)


def _lefts_s(row: ClassScaling, ref: str, workers: Sequence[WorkerPresence], now_ms: int) -> Iterator[float]:
    """How long each of a class's workers on their way will take still."""
    alive = [w for w in workers if w.worker_class == row.worker_class and w.state is not WorkerState.DRAINING]
    for worker in alive:
        model = worker.models.get(ref)
        if worker.ready_ms is None and (model is None or model.state is ModelState.LOADING):
            age_s = max(0.0, (now_ms - worker.started_ms) / 1000)
            yield max(row.cold_start_s - age_s, _LEAST * row.cold_start_s)
        elif model is not None and model.state is ModelState.LOADING and not model.cold:
            yield row.start_s.get("model", row.cold_start_s)
    for _ in range(row.count - len(alive)):
        yield row.cold_start_s
