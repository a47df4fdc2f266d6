"""Shadow: a copy of a job for a version that is only watched: nobody can ask for it, it is in nobody's way. Pure."""

from headrace.jobs import NewJob
from headrace.model_ref import ModelRef
from headrace.tiers import Tier

#: Whose copies are: no key can be made for a tenant of this name (`api_keys.TENANT_PATTERN`).
SHADOW_TENANT = "~shadow"
#: A copy that has not begun by then is not run any more, so that copies never pile up.
_BEGIN_MS = 60_000


def shadow_of(job: NewJob, *, job_id: str, ref: ModelRef, now_ms: int) -> NewJob:
    """The copy: of the last tier, run once at most, soon or not at all, told to nobody."""
    ready_ms = max(job.not_before_ms, now_ms)
    return NewJob(
        id=job_id,
        tenant=SHADOW_TENANT,
        ref=ref,
        tier=Tier.SPOT,
        input=job.input,
        max_attempts=1,
        is_batchable=job.is_batchable,
        seed=job.seed,
        not_before_ms=job.not_before_ms,
        start_by_ms=ready_ms + _BEGIN_MS,
    )
