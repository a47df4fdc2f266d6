"""What must hold of the burst, of its webhooks, and of the workers that came and went for it. Pure."""

from collections import Counter
from collections.abc import Sequence

from examples.demo.burst import Burst
from examples.demo.checks import Check
from examples.demo.timeline import Sample
from headrace.jobs import JobStatus

#: How soon an extra worker is to be started.
START_LIMIT_S = 2.0


def check_succeeded(burst: Burst) -> Check:
    """No job ended without a result."""
    counts = Counter(job.status for job in burst.outcomes)
    found = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    return Check("every job succeeded", counts.keys() == {JobStatus.SUCCEEDED}, found)


def check_ran_once(burst: Burst) -> Check:
    """No worker was ended at a job's cost."""
    again = sum(job.attempts != 1 for job in burst.outcomes)
    return Check("every job ran once, also where a worker was drained", not again, f"{again} ran again")


def check_webhooks(announced: set[str], deliveries: Sequence[str], refused: int) -> Check:
    """Each job with a webhook was told of at least once, and nothing came that the secret had not signed."""
    arrived = announced & set(deliveries)
    return Check(
        "every webhook arrived with a valid signature",
        arrived == announced and not refused,
        f"{len(arrived)} of {len(announced)} jobs in {len(deliveries)} deliveries, {refused} not signed",
    )


def check_first_extra(first_extra_s: float | None) -> Check:
    """The scheduler saw at once that the workers would not do."""
    holds = first_extra_s is not None and first_extra_s <= START_LIMIT_S
    found = "none was started" if first_extra_s is None else f"after {first_extra_s:.1f} s"
    return Check(f"the first extra worker was started within {START_LIMIT_S:g} s", holds, found)


def check_back(samples: Sequence[Sample], least: int) -> Check:
    """Extra workers are gone when nothing needs them."""
    peak, last = max(sample.alive for sample in samples), samples[-1]
    holds = peak > least and last.is_idle(least)
    return Check("workers are back at the minimum", holds, f"at most {peak}, now {last.alive} of {least}")
