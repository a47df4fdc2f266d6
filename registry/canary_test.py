"""CanaryTest: does a canary fail more often than what it is to replace? Decided while jobs come in. Pure.

If both fail equally often, a failed job is the canary's with the probability of its share of the jobs, whatever that
rate is. Against each of some ratios between the two rates, the likelihood of who failed gives a test martingale; their
mean is one too, so it passes 1 / `false_alarm` with at most that probability, however often one looks (Ville's
inequality; Ramdas et al., "Game-theoretic statistics and safe anytime-valid inference", 2023). No rate need be known
beforehand, no number of jobs fixed, and jobs that do not fail cost nothing to count.
"""

import math
from typing import NamedTuple

#: How many times as often the canary might fail.
_RATIOS = (1.5, 2.0, 3.0, 5.0, 8.0, 16.0, 64.0)
#: A share is kept this far from none and all, or one miscounted job would decide.
_LEAST_SHARE = 1e-3


class Ended(NamedTuple):
    """Jobs of a version that have ended since the canary began, and how many of them failed without fault of theirs."""

    jobs: int = 0
    failed: int = 0

    @property
    def rate(self) -> float:
        """Share that failed."""
        return self.failed / self.jobs if self.jobs else 0.0


class CanaryTest:
    """One canary against the versions beside it.

    Args:
        false_alarm: probability that a canary which fails no more often is called worse.
    """

    def __init__(self, *, false_alarm: float) -> None:
        self._bar = 1 / false_alarm
        self._logs = [0.0] * len(_RATIOS)
        self.others, self.canary = Ended(), Ended()

    def observe(self, others: Ended, canary: Ended) -> None:
        """Look at the counts since the canary began; they only grow."""
        ran = (max(others.jobs - self.others.jobs, 0), max(canary.jobs - self.canary.jobs, 0))
        failed = (max(others.failed - self.others.failed, 0), max(canary.failed - self.canary.failed, 0))
        if any(failed):
            self._weigh(failed, _share(ran, canary.jobs, others.jobs))
        self.others, self.canary = others, canary

    def _weigh(self, failed: tuple[int, int], share: float) -> None:
        for i, ratio in enumerate(_RATIOS):
            # With this ratio a failed job is the canary's with that probability.
            likely = share * ratio / (1 - share + share * ratio)
            self._logs[i] += failed[0] * math.log((1 - likely) / (1 - share)) + failed[1] * math.log(likely / share)

    @property
    def evidence(self) -> float:
        """How much more likely it all is with a worse canary; infinite beyond what a float holds."""
        largest = max(self._logs)
        if largest > 700:
            return math.inf
        return math.exp(largest) * sum(math.exp(log - largest) for log in self._logs) / len(self._logs)

    @property
    def is_worse(self) -> bool:
        """True once the canary should be taken back."""
        return self.evidence >= self._bar


def _share(ran: tuple[int, int], canary: int, others: int) -> float:
    """The canary's share of the jobs that ended in between; where none did, of all."""
    base, ours = ran if sum(ran) else (others, canary)
    share = ours / (base + ours) if base + ours else 0.5
    return min(max(share, _LEAST_SHARE), 1 - _LEAST_SHARE)
