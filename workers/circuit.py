"""Circuit: takes a version out that worked on this worker and now fails whatever it is given. Pure.

A worker whose device or process has gone bad fails jobs faster than healthy ones run them, and so draws more and more
of the queue into failing (a black hole). It stops claiming for the version, loads it anew after a pause, and tries
again, after a longer pause each time until something succeeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from headrace.jobs import Cause
from workers.backoff import Backoff

#: Failures one after another, and the passes they were in, that open the circuit: one bad batch is no sign.
_JOBS = 20
_PASSES = 3


@dataclass
class _Record:
    has_worked: bool = False
    failed: int = 0
    passes: int = 0
    backoff: Backoff = field(default_factory=lambda: Backoff(first_s=1.0, most_s=30.0))


class Circuit:
    """One for all versions of a worker."""

    def __init__(self) -> None:
        self._records: dict[str, _Record] = {}

    def ended(self, ref: str, causes: Sequence[Cause | None]) -> float:
        """A pass ended with these causes of failure, None for a success; answers for how long to stop, 0 to go on.

        A version that never worked here is not taken out: then it is the model that fails, which its callers should be
        told. Nor do inputs count that the model refused.
        """
        record = self._records.setdefault(ref, _Record())
        if None in causes:
            record.has_worked, record.failed, record.passes = True, 0, 0
            record.backoff.reset()
            return 0.0
        failed = sum(cause is not Cause.INPUT for cause in causes)
        record.failed += failed
        record.passes += failed > 0
        if not record.has_worked or record.failed < _JOBS or record.passes < _PASSES:
            return 0.0
        record.failed = record.passes = 0
        return record.backoff.next_s()
