"""Overlap: whether a model's stages run beside its passes or between them: whichever gets through more. Pure.

Beside is better where a pass computes without Python, as it does on the CPU or in long kernels. A pass that is itself
mostly Python, such as one that launches many short kernels, waits for the interpreter each time another thread has it.
Which of the two a model is only shows while it runs, so both are tried under load, and tried again now and then.
"""

import statistics
from collections import deque

#: Turns that are measured in each way before the two are compared, and before a trial that only loses is given up.
_SAMPLES, _FIRST_LOOK = 8, 3
#: Turns after a change that still work off what was begun in the other way.
_SETTLING = 2
#: Turns between two comparisons.
_STEADY = 400
#: Between the passes must be better by this much: what a stage takes there is lost for certain, and medians of a few
#: turns differ by some per cent on a busy machine.
_CLEARLY = 0.95


class Overlap:
    """Of one loaded model.

    Args:
        is_allowed: False where the author says that hooks must not run at the same time; then they never do.
    """

    def __init__(self, *, is_allowed: bool) -> None:
        self.is_on = is_allowed
        self._is_allowed = is_allowed
        self._taken: dict[bool, deque[float]] = {way: deque(maxlen=_SAMPLES) for way in (False, True)}
        self._is_trial = True
        self._turns = 0

    def took(self, seconds: float, cost: float) -> None:
        """A turn of this cost took so long: from the start of a batch to that of the next, with no pause between."""
        if not self._is_allowed or cost <= 0:
            return
        self._turns += 1
        if self._turns > _SETTLING:
            self._taken[self.is_on].append(seconds / cost)
        if self._is_hopeless() or self._turns >= (_SETTLING + _SAMPLES if self._is_trial else _STEADY):
            self._go_on()

    def _is_hopeless(self) -> bool:
        """Whether even the fastest turn of this trial is slower than a usual one of the other way."""
        tried, other = self._taken[self.is_on], self._taken[not self.is_on]
        return self._is_trial and bool(other) and len(tried) >= _FIRST_LOOK and min(tried) > statistics.median(other)

    def _go_on(self) -> None:
        """Try the other way after a while, and stay with the better one."""
        self._turns = 0
        if not self._is_trial or not self._taken[not self.is_on]:
            self.is_on, self._is_trial = not self.is_on, True
            self._taken[self.is_on].clear()
            return
        medians = {way: statistics.median(taken) for way, taken in self._taken.items()}
        self.is_on, self._is_trial = _CLEARLY * medians[True] <= medians[False], False
