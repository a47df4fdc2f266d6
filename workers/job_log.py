"""What the log says of single jobs: each that failed, and at level DEBUG each that ended.

Never their inputs or results; of an error only its cause, because its words may quote the input.
"""

import logging
from collections.abc import Sequence

import orjson

from headrace.logs import about
from workers.held_jobs import HeldJob

log = logging.getLogger("headrace.jobs")


def ended(jobs: Sequence[HeldJob], errors: Sequence[str | None], took_s: float) -> None:
    """Jobs ended in a pass of `took_s`; those that failed come with their error documents."""
    if any(errors):
        for held, error in zip(jobs, errors, strict=True):
            if error is not None:
                _tell(logging.INFO, held, f"failed, cause {orjson.loads(error)['cause']}")
    if log.isEnabledFor(logging.DEBUG):
        for held in jobs:
            _tell(logging.DEBUG, held, f"ended in a pass of {1000 * took_s:.1f} ms with {len(jobs)} jobs")


def suspected(held: HeldJob, cause: str) -> None:
    """A job was in the pass in which the model's process died."""
    _tell(logging.WARNING, held, f"was in the pass in which the model's process died ({cause})")


def _tell(level: int, held: HeldJob, what: str) -> None:
    job = held.job
    log.log(level, "job %s of %s %s", job.member, held.ref, what, extra=about(job.member, job.traceparent))
