"""Agenda: what happens next, in the order of time; what is put down for the same moment in the order of putting."""

from collections.abc import Callable
from heapq import heappop, heappush

Act = Callable[[float], None]


class Agenda:
    """Time goes on only in `run_until`."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, Act]] = []
        self._put = 0

    def put(self, at_s: float, act: Act) -> None:
        """Have something happen; it is called with the time."""
        self._put += 1
        heappush(self._entries, (at_s, self._put, act))

    def run_until(self, until_s: float) -> None:
        """Let everything happen that is due by then, also what is put down meanwhile."""
        while self._entries and self._entries[0][0] <= until_s:
            at_s, _, act = heappop(self._entries)
            act(at_s)
