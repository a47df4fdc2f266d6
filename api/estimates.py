"""How callers see a wait: the place in the queue, when the job will start and end, whether its deadline can be kept."""

import random
from typing import Any, NamedTuple

from headrace.errors import DeadlineUnattainable, FieldError, HeadraceError
from headrace.eta import Basis, Estimate
from headrace.jobs import NewJob
from headrace.timestamps import rfc3339

#: Nobody should ask more often, or forget to.
_SOONEST_S, _LATEST_S = 1.0, 60.0
#: So that those who were told the same do not come together.
_JITTER = (0.9, 1.1)


class Waiting(NamedTuple):
    """What is known of a job that is queued."""

    reason: str
    detail: str = ""
    #: Jobs that come before it; None while it stands in no queue, or nobody can run it.
    position: int | None = None
    #: None while nothing is known, or what was said lately was too often wrong.
    estimate: Estimate | None = None
    #: When this was so, Unix milliseconds by Redis.
    now_ms: int = 0


def queue_document(waiting: Waiting) -> dict[str, Any]:
    """Where a queued job stands, and until when."""
    estimate = waiting.estimate
    return {
        "position": waiting.position,
        "batches_ahead": estimate.batches_ahead if estimate and estimate.basis is Basis.THROUGHPUT else None,
        "eta": _eta(estimate, waiting.now_ms) if estimate else None,
    }


def _eta(estimate: Estimate, now_ms: int) -> dict[str, Any]:
    return {
        "start_p50": rfc3339(now_ms + round(estimate.start_p50_s * 1000)),
        "start_p90": rfc3339(now_ms + round(estimate.start_p90_s * 1000)),
        "finish_p50": rfc3339(now_ms + round(estimate.finish_p50_s * 1000)),
        "finish_p90": rfc3339(now_ms + round(estimate.finish_p90_s * 1000)),
        "basis": estimate.basis,
        "confidence": estimate.confidence,
    }


def retry_after_s(waiting: Waiting | None) -> int:
    """How soon it is worth looking at an open job again, for callers that do not wait."""
    if waiting is None or waiting.estimate is None:
        return round(_SOONEST_S)
    wait_s = waiting.estimate.finish_p50_s * random.uniform(*_JITTER)
    return round(min(max(wait_s, _SOONEST_S), _LATEST_S))


def unattainable(job: NewJob, waiting: Waiting, *, now_ms: int) -> DeadlineUnattainable | None:
    """Why a job cannot be expected to keep its deadline; None if it can, has none, or nothing is known."""
    if not job.deadline_ms:
        return None
    if waiting.position is None:
        why = f"nobody can run it now ({waiting.detail or waiting.reason})"
    elif waiting.estimate is not None and now_ms + waiting.estimate.finish_p90_s * 1000 > job.deadline_ms:
        late_s = waiting.estimate.finish_p90_s - (job.deadline_ms - now_ms) / 1000
        why = f"{waiting.position} jobs are before it, and it may end {late_s:.3g} s later"
    else:
        return None
    problem = f"cannot be kept: {why}; give it more time, a more urgent tier, or leave out admission"
    return DeadlineUnattainable(
        f"the deadline {problem}", fields=[FieldError("/options/deadline", problem, "deadline_unattainable")]
    )


class Foreseen(NamedTuple):
    """What would become of a submission."""

    job: NewJob
    waiting: Waiting
    #: Why it would be refused; None if it would be accepted.
    refusal: HeadraceError | None
    #: The job that stands for it by its dedupe key; empty if none does.
    twin_id: str
    #: None if it has no deadline, or nothing is known.
    meets_deadline: bool | None
    #: Seconds of a worker that it takes; None if not known.
    job_s: float | None

    def document(self, problem: dict[str, Any] | None) -> dict[str, Any]:
        """As callers see it; `problem` is what a submission would be answered with if it is refused."""
        return {
            "admissible": self.refusal is None,
            "refusal": problem,
            "duplicate_of": self.twin_id or None,
            "reason": self.waiting.reason,
            "reason_detail": self.waiting.detail or None,
            "model": {"name": self.job.ref.name, "version": self.job.ref.version},
            "tier": self.job.tier,
            "queue": queue_document(self.waiting),
            "meets_deadline": self.meets_deadline,
            "seconds": self.job_s,
        }
