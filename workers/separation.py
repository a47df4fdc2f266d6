"""Separation: which model versions run in a process of their own. Pure.

Most share one: that saves memory, and their passes do not get in each other's way. A version whose author asks for it
has its own, and so has one that brought the shared process down twice: from then on it can hurt nobody but itself.
"""

from collections import Counter
from collections.abc import Collection

#: Shared processes that a version may bring down.
_CRASHES = 2


class Separation:
    """Of one worker, for as long as it lives."""

    def __init__(self) -> None:
        self._crashes: Counter[str] = Counter()
        self._apart: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._apart)

    def __contains__(self, ref: object) -> bool:
        return ref in self._apart

    def declare(self, refs: Collection[str]) -> None:
        """Authors ask for these to run apart."""
        self._apart.update(refs)

    def shared_process_died(self, refs: Collection[str]) -> str | None:
        """The shared process died with these versions in its hands; answers one that runs apart from now on.

        Where there were several it is not known whose fault it was; that counts when one of them is there alone.
        """
        present = set(refs)
        self._crashes.update(present)
        if len(present) != 1:
            return None
        (ref,) = present
        if self._crashes[ref] < _CRASHES or ref in self._apart:
            return None
        self._apart.add(ref)
        return ref
