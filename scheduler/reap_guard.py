"""ReapGuard: leases are not taken from workers that had no chance to renew them."""

from typing import NamedTuple

#: Redis' clock and ours may drift apart by this much between two looks before it counts as a jump.
_CLOCK_JUMP_S = 2.0


class ServerView(NamedTuple):
    """What one look at the server showed."""

    #: Changes with each start of the server.
    run_id: str
    uptime_s: int
    #: The server's wall clock.
    time_s: float


class ReapGuard:
    """Says whether expired leases may be reaped now; after a disturbance workers get one lease of time to renew first.

    Disturbances: the server was started less than a lease ago, its clock jumped, or nobody could reach it for so long
    that renewals were missed. Pure: `now` is any monotonic clock in seconds.
    """

    def __init__(self, *, lease_s: float) -> None:
        self._lease_s = lease_s
        self._last: tuple[ServerView, float] | None = None
        self._grace_until = float("-inf")

    def observe(self, view: ServerView, now: float) -> str:
        """Note a look at the server; answers why a grace begins, or an empty string."""
        reason, grace_s = self._disturbance(view, now)
        self._last = (view, now)
        self._grace_until = max(self._grace_until, now + grace_s)
        return reason

    def may_reap(self, now: float) -> bool:
        """Tell whether every live worker has had its chance."""
        return now >= self._grace_until

    def _disturbance(self, view: ServerView, now: float) -> tuple[str, float]:
        if self._last is None or self._last[0].run_id != view.run_id:
            rest_s = self._lease_s - view.uptime_s
            return ("the server has just started", rest_s) if rest_s > 0 else ("", 0.0)
        last, seen_at = self._last
        if abs((view.time_s - last.time_s) - (now - seen_at)) > _CLOCK_JUMP_S:
            return "the server's clock jumped", self._lease_s
        if now - seen_at > self._lease_s / 2:
            return "the server was out of reach", self._lease_s
        return "", 0.0
