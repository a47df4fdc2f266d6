"""What was measured, as names and values to print. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from examples.demo.burst import Burst
from headrace.tiers import Tier

Rows = list[tuple[str, str]]


class Figures(NamedTuple):
    """Of the embedding."""

    #: From the start of this process.
    first_accepted_s: float
    #: From the first submission to the last result.
    took_s: float
    #: Of each job, accepted to finished.
    latencies_ms: Sequence[float]
    #: Of each job, the size of the batch it ran in.
    batch_sizes: Sequence[int]
    #: Of single jobs sent one after another to the idle system, request to result.
    alone_ms: Sequence[float]

    @property
    def batches(self) -> float:
        """How many forward passes there were: each of the n jobs of a batch is an n-th of it."""
        return sum(1 / size for size in self.batch_sizes)

    @property
    def rate(self) -> float:
        """Jobs a second."""
        return len(self.batch_sizes) / self.took_s

    @property
    def rows(self) -> Rows:
        """As they are printed."""
        jobs = len(self.batch_sizes)
        return [
            ("first job accepted", f"{self.first_accepted_s:.1f} s after the start"),
            ("throughput", f"{self.rate:.0f} jobs/s ({jobs} in {self.took_s:.1f} s)"),
            ("average batch", f"{jobs / self.batches:.1f} jobs ({self.batches:.0f} forward passes)"),
            ("accepted to finished, all at once", _p50_p99(self.latencies_ms)),
            ("request to result, one at a time", _p50_p99(self.alone_ms)),
        ]


def burst_rows(burst: Burst) -> Rows:
    """What was measured of a burst, as it is printed."""
    jobs = len(burst.outcomes)
    rows = [
        ("accepted", f"{jobs / burst.accepted_s:.0f} jobs/s ({jobs} in {burst.accepted_s:.1f} s)"),
        ("throughput", f"{jobs / burst.took_s:.0f} jobs/s ({jobs} in {burst.took_s:.1f} s)"),
    ]
    for tier in Tier:
        waits = [job.waited_s for job in burst.outcomes if job.tier is tier and job.waited_s is not None]
        if waits:
            row = f"p50 {percentile(waits, 0.5):.1f} s, p99 {percentile(waits, 0.99):.1f} s"
            rows.append((f"accepted to started, {tier}", row))
    return rows


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def _p50_p99(values_ms: Sequence[float]) -> str:
    return f"p50 {percentile(values_ms, 0.5):.0f} ms, p99 {percentile(values_ms, 0.99):.0f} ms"
