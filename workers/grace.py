"""Grace: how long a worker that stops waits for the forward pass that runs. Pure."""

import math

from headrace.jobs import Reason

#: Of the time until the machine is gone, what giving back, committing and ending may need: so much, or a third.
_RETURN_S = 8.0


class Grace:
    """Asked by the event loop again and again; told by signal handlers and other threads, in any order.

    Args:
        most_s: the wait where nothing shortens it.
    """

    def __init__(self, *, most_s: float) -> None:
        self._most_s = most_s
        self._until = math.inf
        self._leave_by = math.inf
        self._is_hurried = False
        self._return_s = _RETURN_S

    def begin(self, now: float) -> None:
        """The worker stops, at `now` in monotonic seconds."""
        self._until = now + self._most_s

    def notice(self, left_s: float, now: float) -> None:
        """In so many seconds the machine may be gone."""
        self._return_s = min(_RETURN_S, left_s / 3)
        self._leave_by = now + left_s - self._return_s

    def hurry(self) -> None:
        """Wait for nothing."""
        self._is_hurried = True

    def is_over(self, now: float, pass_ends_at: float) -> bool:
        """Tell whether to wait no longer for a pass that is expected to end then (0 if nobody knows)."""
        if self._is_hurried or now >= min(self._until, self._leave_by):
            return True
        # What cannot end in time gets its time elsewhere at once. Without a notice it may end late after all.
        return pass_ends_at > self._leave_by

    @property
    def answer_s(self) -> float:
        """How long the model may take to say how far it is: half of what is left for giving back."""
        return 0.0 if self._is_hurried else self._return_s / 2

    @property
    def reason(self) -> Reason | None:
        """Why jobs are given back, where there is more to say than that they wait again."""
        return Reason.PREEMPTED if self._leave_by < math.inf else None
