"""DeliveryTally: what came of a courier's attempts since it began."""

from collections import Counter

from headrace.buckets import Buckets

_ATTEMPT_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0)


class DeliveryTally:
    """Written and read by any thread: each step is one operation."""

    def __init__(self) -> None:
        #: By what came of it; answers by their class, so that no receiver can make up labels.
        self.outcomes: Counter[str] = Counter()
        self.took_s = Buckets(_ATTEMPT_S)
        self.under_way = 0
        #: Receivers that failed so often that they are tried rarely.
        self.resting = 0

    def attempted(self, outcome: str, took_s: float) -> None:
        """An attempt is over; `outcome` is `http_503`, `timeout` and the like."""
        self.outcomes[f"{outcome[:6]}xx" if outcome.startswith("http_") else outcome] += 1
        self.took_s.add(took_s)
