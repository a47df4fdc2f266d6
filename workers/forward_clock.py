"""ForwardClock: when the running forward pass will probably end, from the ones before. Pure."""


class ForwardClock:
    """A smoothed pass length per model version.

    A shorter pass counts at once and a longer one slowly, because the price of guessing too long is an idle model.
    """

    def __init__(self) -> None:
        self._estimate_s: dict[str, float] = {}
        self._running: tuple[str, float] | None = None

    def started(self, ref: str, *, now: float) -> None:
        """A pass begins; `now` is monotonic seconds."""
        self._running = (ref, now)

    def ended(self, ref: str, *, took_s: float) -> None:
        """It ended."""
        known = self._estimate_s.get(ref)
        self._estimate_s[ref] = took_s if known is None else min(took_s, 0.8 * known + 0.2 * took_s)
        self._running = None

    def forget_running(self) -> None:
        """It will not end: its process is gone."""
        self._running = None

    @property
    def ends_at(self) -> float | None:
        """Monotonic seconds at which the running pass should end; None when nothing runs."""
        if self._running is None:
            return None
        ref, began = self._running
        return began + self._estimate_s.get(ref, 0.0)

    @property
    def longest_s(self) -> float:
        """The longest of the estimates, for display."""
        return max(self._estimate_s.values(), default=0.0)
