"""What each tenant has open in one process at once: requests, and those among them that wait. Pure bookkeeping."""

from headrace.errors import FieldError, TooManyOpenRequests, TooManyOpenWaits


class Openings:
    """Counts by tenant, so that no one takes the whole process.

    Args:
        most_requests: that a tenant may have open.
        most_waits: of them that may wait.
    """

    def __init__(self, *, most_requests: int, most_waits: int) -> None:
        self._most_requests = most_requests
        self._most_waits = most_waits
        self._requests: dict[str, int] = {}
        self._waits: dict[str, int] = {}

    def enter(self, tenant: str) -> None:
        """A request begins; `leave` must follow.

        Raises:
            TooManyOpenRequests: if it is one too many; it has not begun then.
        """
        if (others := self._requests.get(tenant, 0)) >= self._most_requests:
            raise TooManyOpenRequests(
                f"the tenant {tenant} has {self._most_requests} requests open, as many as it may; let some end first"
            )
        self._requests[tenant] = others + 1

    def leave(self, tenant: str) -> None:
        """A request has ended."""
        _take_one(self._requests, tenant)

    def begin_wait(self, tenant: str) -> None:
        """A request begins to wait; `end_wait` must follow.

        Raises:
            TooManyOpenWaits: if it is one too many; it does not wait then.
        """
        if (others := self._waits.get(tenant, 0)) >= self._most_waits:
            problem = f"{self._most_waits} requests of the tenant {tenant} wait already, as many as may"
            way_out = "let some end first, or leave it out and ask again later"
            raise TooManyOpenWaits(f"{problem}; {way_out}", fields=[FieldError("/header/Prefer", way_out)])
        self._waits[tenant] = others + 1

    def end_wait(self, tenant: str) -> None:
        """A request waits no longer."""
        _take_one(self._waits, tenant)


def _take_one(counts: dict[str, int], tenant: str) -> None:
    if left := counts[tenant] - 1:
        counts[tenant] = left
    else:
        del counts[tenant]
