"""ModelChoice: which model version that is not loaded is worth its load. Pure.

While a model is loaded the device computes nothing, so a load must pay: as much work waits for the version as `KAPPA`
loads take, or its oldest job can wait no longer. The latter go first, so that nothing starves however little it is.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

from headrace.tiers import Tier

#: Work that must wait for a version, in loads of it; loading then takes at most 1 / (1 + KAPPA) of the time.
KAPPA = 2.0
#: Jobs too few to be worth a load wait for it as long as so many loads of all such versions take: else a worker that
#: cannot keep up, where everything has waited too long, would do little but load.
PATIENCE = 10.0
_WEIGHTS = {Tier.PRIORITY: 4.0, Tier.STANDARD: 2.0, Tier.SPOT: 1.0}


class Backlog(NamedTuple):
    """What waits for a version in one tier."""

    tier: Tier
    jobs: int
    #: Age of the job that is first.
    oldest_s: float


class Candidate(NamedTuple):
    """A version that could be loaded. `slack_s` is how long its load may still be put off; `asked`: it must be here."""

    ref: str
    load_s: float
    work_s: float = 0.0
    urgency: float = 0.0
    slack_s: float = math.inf
    asked: bool = False

    @property
    def must_come(self) -> bool:
        """Tell whether others should make way for it though they have work."""
        return self.asked or self.slack_s <= 0

    @property
    def is_worth_it(self) -> bool:
        """Tell whether others should make way for it."""
        return self.must_come or self.work_s >= KAPPA * self.load_s

    @property
    def order(self) -> tuple[bool, float, float]:
        """Sorts the most deserving first: what was asked for, what can wait no longer, what gains most."""
        return not self.asked, min(self.slack_s, 0.0), self.load_s - self.urgency


def weigh(
    ref: str, waiting: Iterable[Backlog], *, job_s: float, load_s: float, patience_s: float, asked: bool = False
) -> Candidate:
    """Make a candidate of what waits for a version.

    Args:
        ref: the version.
        waiting: its backlog by tier.
        job_s: time that one of its jobs takes.
        load_s: time that its load takes.
        patience_s: how long a job may wait before its version is loaded for its sake alone.
        asked: somebody wants it loaded, jobs or not.
    """
    backlogs = [backlog for backlog in waiting if backlog.jobs]
    work_s = sum(backlog.jobs for backlog in backlogs) * job_s
    urgency = sum(b.jobs * job_s * _WEIGHTS[b.tier] * (1 + b.oldest_s / patience_s) for b in backlogs)
    oldest_s = max((backlog.oldest_s for backlog in backlogs), default=-math.inf)
    return Candidate(ref, load_s, work_s, urgency, patience_s - load_s - oldest_s, asked)
