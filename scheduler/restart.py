"""RestartPolicy: when a program that ended may be started again."""

#: Seconds before the first, second, … start after ends that came early; the last one stands for all further ones.
DELAYS_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)

#: A life of this many seconds clears the record.
HEALTHY_AFTER_S = 30.0


class RestartPolicy:
    """Spaces the starts of one program: at once after a single mishap, ever slower while it crashes early.

    Pure: `now` is any monotonic clock in seconds.
    """

    def __init__(self) -> None:
        #: Ends in a row that came before the program had lived `HEALTHY_AFTER_S`.
        self.early_ends = 0
        self._started_at: float | None = None
        self._next_start_at = float("-inf")

    def is_due(self, now: float) -> bool:
        """Tell whether the program may start now."""
        return now >= self._next_start_at

    def started(self, now: float) -> None:
        """Note a start."""
        self._started_at = now

    def ended(self, now: float) -> float:
        """Note an end that nobody asked for; answers the seconds until the next start."""
        lived_s = 0.0 if self._started_at is None else now - self._started_at
        self.early_ends = 1 if lived_s >= HEALTHY_AFTER_S else self.early_ends + 1
        delay_s = DELAYS_S[min(self.early_ends, len(DELAYS_S)) - 1]
        self._next_start_at = now + delay_s
        return delay_s

    @property
    def is_looping(self) -> bool:
        """True when early ends follow each other, so that a person should look."""
        return self.early_ends >= 3
