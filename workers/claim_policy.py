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
        lead_s: how long before the expected end the next jobs should be with the child; the way there, a round trip
            to Redis and down the pipe, is learned and comes on top.
    """

    def __init__(self, *, lead_s: float) -> None:
        self._lead_s = lead_s
        self._trip_s = 0.0

    def trip_took(self, took_s: float) -> None:
        """Jobs were with the child so long after their claim was sent.

        A longer trip counts at once and a shorter one slowly: to be late idles the model, to be early costs little.
        """
        self._trip_s = max(took_s, 0.8 * self._trip_s + 0.2 * took_s)

    def plan(self, *, staged: int, max_batch: int, ends_at: float | None, now: float) -> ClaimPlan:
        """Decide, given how many jobs are held but not begun, and when the running pass ends (None: nothing runs)."""
        room = max_batch - staged
        if room <= 0:
            return ClaimPlan(0, 0.0)
        if ends_at is None:
            return ClaimPlan(room, 0.0)
        wait_s = ends_at - self._lead_s - self._trip_s - now
        return ClaimPlan(room, wait_s if wait_s > _AT_ONCE_S else 0.0)
