"""Backoff: how long to wait before the next try of something that keeps failing. Pure."""

from dataclasses import dataclass


@dataclass
class Backoff:
    """Doubles from `first_s` to `most_s`; `reset` after a success."""

    first_s: float
    most_s: float
    failures: int = 0

    def next_s(self) -> float:
        """Count a failure and answer the pause after it."""
        self.failures += 1
        return float(min(self.most_s, self.first_s * 2 ** min(self.failures - 1, 30)))

    def reset(self) -> None:
        """Forget the failures."""
        self.failures = 0
