"""What follows from an attempt: it is over, or tried again, ever more rarely. Pure."""

from typing import NamedTuple

from headrace.webhooks import DeliveryState

#: Seconds before the first, second, … attempt, counted from the end of the one before: about two days in all.
DELAYS_S = (0, 5, 30, 120, 600, 1_800, 7_200, 21_600, 43_200, 86_400)
#: Delays vary by this share, so that a receiver that comes back does not meet everybody at once.
JITTER = 0.2
#: Longest wait that a receiver may ask for.
MOST_RETRY_AFTER_S = 86_400.0

#: Outcome of an attempt that was not made, because the receiver rests.
RESTS = "receiver_rests"

_GONE = 410
_LATER = frozenset({429, 503})
_TOO_MANY = 429


class Answer(NamedTuple):
    """What came of an attempt."""

    #: In one word: `http_200`, `timeout`, `address_refused`, …
    outcome: str
    #: HTTP status, 0 if there was none.
    status: int = 0
    #: What the header Retry-After asks for, or how long the receiver still rests.
    retry_after_s: float = 0.0

    @property
    def pause_s(self) -> float:
        """For how long the receiver asks to be left alone, or is."""
        asks = self.status in _LATER or self.outcome == RESTS
        return min(self.retry_after_s, MOST_RETRY_AFTER_S) if asks else 0.0

    @property
    def is_from_the_well(self) -> bool:
        """True unless the receiver is sick: it did not answer, or with 429 or 5xx. What is our fault is not its."""
        return self.outcome == "internal" or (0 < self.status < 500 and self.status != _TOO_MANY)


class Verdict(NamedTuple):
    """What follows from it."""

    state: DeliveryState
    delay_ms: int = 0


def judge(answer: Answer, *, attempts: int, luck: float) -> Verdict:
    """Decide after the `attempts`-th attempt; `luck`, from 0 to 1, picks the delay within its range.

    2xx is the end, 410 too: whoever says so wants no more of it. 429 and 503 may ask for a longer pause. Everything
    else is a failure like any other: redirects, and attempts that were not made because the receiver rests.
    """
    if 200 <= answer.status < 300:
        return Verdict(DeliveryState.DELIVERED)
    if answer.status == _GONE or attempts >= len(DELAYS_S):
        return Verdict(DeliveryState.FAILED)
    delay_s = DELAYS_S[attempts] * (1 - JITTER + 2 * JITTER * luck)
    return Verdict(DeliveryState.PENDING, round(max(delay_s, answer.pause_s) * 1000))
