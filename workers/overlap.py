"""Overlap: whether a model's stages run beside its passes or between them: whichever gets through more. Pure.

Beside is better where a pass computes without Python, as it does on the CPU or in long kernels. A pass that is itself
mostly Python, such as one that launches many short kernels, waits for the interpreter each time another thread has it.
Which of the two a model is only shows while it runs, so both are tried under load, and tried again now and then. What a
model stages together (`Model.preprocess_all`) is beside the pass in either case: that takes the interpreter once.
"""

import statistics
from collections import deque

#: Other threads are woken for a pass of at least this length; it takes some 0.1 ms.
LONG_PASS_S = 0.002
#: A comparison takes so many blocks in each of the ways, alternately, since a machine is now slow and now fast. So many
#: turns of a block still work off what was begun in the other way, and so many are measured.
_ROUNDS, _SETTLING, _SAMPLES = 3, 2, 3
#: Turns between two comparisons: few after the first, which may have been of a machine that was still cold.
_FIRST_STEADY, _STEADY = 50, 400
#: Between the passes must be better by this much: what a stage takes there is lost for certain.
_CLEARLY = 0.98


class Overlap:
    """Of one loaded model.

    Args:
        is_allowed: False where the author says that hooks must not run at the same time; then they never do.
    """

    def __init__(self, *, is_allowed: bool) -> None:
        self.is_on = self.is_allowed = is_allowed
        self._taken: dict[bool, deque[float]] = {way: deque(maxlen=_ROUNDS * _SAMPLES) for way in (False, True)}
        #: The way that is kept, and the blocks of the comparison under way that have begun: every other in that way.
        self._kept, self._block = is_allowed, 0
        self._turns, self._steady = 0, _SETTLING + _SAMPLES

    def took(self, seconds: float, expected_s: float) -> None:
        """A turn took so long, from the start of a batch to that of the next, with no pause between.

        Args:
            seconds: of the turn.
            expected_s: of its pass by the cost model, by which turns of unlike batches can be compared; 0 if unknown.
        """
        if not self.is_allowed or expected_s <= 0:
            return
        self._turns += 1
        if self._turns > _SETTLING:
            self._taken[self.is_on].append(seconds / expected_s)
        if self._turns >= (_SETTLING + _SAMPLES if self._block else self._steady):
            self._go_on()

    def _go_on(self) -> None:
        """Begin the next block; after the last one stay with the better way for a while."""
        self._turns = 0
        if self._block == 2 * _ROUNDS or self._is_hopeless():
            self._kept, self._block = self._is_better_beside(), 0
            self._steady = min(max(2 * self._steady, _FIRST_STEADY), _STEADY)
        else:
            self._block += 1
        self.is_on = self._kept if self._block % 2 == 0 else not self._kept
        if self._block == 1:
            self._taken[self.is_on].clear()

    def _is_hopeless(self) -> bool:
        """Whether even the fastest turn of the way that is tried is slower than a usual one of the way that is kept."""
        tried, kept = self._taken[not self._kept], self._taken[self._kept]
        return self._block in range(2, 2 * _ROUNDS, 2) and min(tried) > statistics.median(kept)

    def _is_better_beside(self) -> bool:
        beside, between = (statistics.median(self._taken[way]) for way in (True, False))
        return _CLEARLY * beside <= between
