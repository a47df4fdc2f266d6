"""How often those who wait for a job to change look again. Pure bookkeeping; `change_wait` does it."""

from collections.abc import Iterator
from contextlib import contextmanager


class Lookout:
    """Counts who watches, of all tenants of one process: together they look no more often than Redis hardly notices.

    Args:
        pause_s: between two looks at a job.
        looks_per_s: at all jobs; with more who watch, the pauses are longer. A look is two to five commands.
    """

    def __init__(self, *, pause_s: float = 1.0, looks_per_s: float = 100.0) -> None:
        self._pause_s = pause_s
        self._looks_per_s = looks_per_s
        self._watching = 0

    @property
    def pause_s(self) -> float:
        """How long each of them waits now before it looks again."""
        return max(self._pause_s, self._watching / self._looks_per_s)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """One more watches."""
        self._watching += 1
        try:
            yield
        finally:
            self._watching -= 1
