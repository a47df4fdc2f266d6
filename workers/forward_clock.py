"""ForwardClock: when the running forward pass will probably end, and how long the model was idle before it. Pure."""

from collections.abc import Collection
from typing import NamedTuple

from workers.claim_policy import RunningPass

#: Number of a pass that has not begun.
_NOT_BEGUN = 0


class Idle(NamedTuple):
    """The model did nothing for `seconds` from `since` (monotonic), after a pass of `pass_s`."""

    since: float
    seconds: float
    pass_s: float


class _Pass(NamedTuple):
    number: int
    ref: str
    began: float
    expected_s: float


class ForwardClock:
    """Passes are known by a number, their first slot. The end of one may be told after the start of the next.

    The child says how long it expects a pass to take. Until it can, a smoothed length per model version stands in:
    there a shorter pass counts at once and a longer one slowly, because the price of guessing too long is an idle
    model.
    """

    def __init__(self) -> None:
        self._estimate_s: dict[str, float] = {}
        self._running: _Pass | None = None
        #: A pass that was followed by another before its end was told.
        self._untold: _Pass | None = None
        #: End and length of the pass before, while nothing runs.
        self._last: tuple[float, float] | None = None

    def started(self, number: int, ref: str, *, now: float, expected_s: float = 0.0) -> Idle | None:
        """A pass begins, at `now` in monotonic seconds; 0 s expected means that nobody knows."""
        last, self._last = self._last, None
        self._untold = self._running
        self._running = _Pass(number, ref, now, expected_s or self._estimate_s.get(ref, 0.0))
        return None if last is None else _idle(last[0], now, pass_s=last[1])

    def ended(self, number: int, *, took_s: float) -> Idle | None:
        """It ended."""
        running, untold = self._running, self._untold
        if running is not None and running.number == number:
            self._learn(running.ref, took_s)
            self._last, self._running = (running.began + took_s, took_s), None
        elif running is not None and untold is not None and untold.number == number:
            self._learn(untold.ref, took_s)
            self._untold = None
            return _idle(untold.began + took_s, running.began, pass_s=took_s)
        return None

    def _learn(self, ref: str, took_s: float) -> None:
        known = self._estimate_s.get(ref)
        self._estimate_s[ref] = took_s if known is None else min(took_s, 0.8 * known + 0.2 * took_s)

    def forget_running(self, refs: Collection[str]) -> None:
        """What runs of these versions will not end: their process is gone."""
        if self._untold is not None and self._untold.ref in refs:
            self._untold = None
        if self._running is None or self._running.ref in refs:
            self._running, self._untold, self._last = self._untold, None, None

    @property
    def running(self) -> RunningPass | None:
        """The pass under way."""
        if self._running is None:
            return None
        number, _, began, expected_s = self._running
        return RunningPass(number, began, began + expected_s)

    def next_pass(self, now: float) -> RunningPass | None:
        """The pass that begins any moment, as far as the one before tells; None if nothing ran before."""
        return None if self._last is None else RunningPass(_NOT_BEGUN, now, now + self._last[1])

    @property
    def longest_s(self) -> float:
        """The longest of the estimates, for display."""
        return max(self._estimate_s.values(), default=0.0)


def _idle(since: float, until: float, *, pass_s: float) -> Idle:
    return Idle(since, max(0.0, until - since), pass_s)
