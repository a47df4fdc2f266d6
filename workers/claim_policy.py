"""ClaimPolicy: how many jobs to claim, and when. Pure."""

from typing import NamedTuple

#: A wait shorter than this is not worth a timer.
_AT_ONCE_S = 0.0005


class ClaimPlan(NamedTuple):
    """Claim `jobs` after `wait_s`; 0 jobs means not before something changes."""

    jobs: int
    wait_s: float


class ClaimPolicy:
    """Claim late: the next batch is fetched just before the running pass ends.

    That keeps the batch as full and its order as fresh as possible, and leaves the jobs to whoever is idle meanwhile,
    at no cost in throughput. When the model is idle, everything eligible is claimed at once.

    Args:
        lead_s: how long before the expected end to claim: a round trip to Redis and back to the child.
    """

    def __init__(self, *, lead_s: float) -> None:
        self._lead_s = lead_s

    def plan(self, *, staged: int, max_batch: int, ends_at: float | None, now: float) -> ClaimPlan:
        """Decide, given how many jobs are held but not begun, and when the running pass ends (None: nothing runs)."""
        room = max_batch - staged
        if room <= 0:
            return ClaimPlan(0, 0.0)
        if ends_at is None:
            return ClaimPlan(room, 0.0)
        wait_s = ends_at - self._lead_s - now
        return ClaimPlan(room, wait_s if wait_s > _AT_ONCE_S else 0.0)
