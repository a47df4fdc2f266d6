"""ServerClock: what time it is by Redis, which all times of jobs are from, whatever the clock of this machine says."""

import time
from collections.abc import Callable

from headrace.redis_op import RedisOp, Reply


class ServerClock:
    """Knows the server's time from its answers, and counts on by the monotonic clock. Pure.

    Args:
        monotonic: seconds of a clock that nobody sets.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._ahead_ms: float | None = None

    @property
    def is_known(self) -> bool:
        """False before the first answer."""
        return self._ahead_ms is not None

    def learn(self, server_ms: int) -> None:
        """The server has just answered that it is so late, Unix milliseconds."""
        self._ahead_ms = server_ms - self._monotonic() * 1000

    def now_ms(self) -> int:
        """Unix milliseconds by the server's clock."""
        assert self._ahead_ms is not None
        return round(self._monotonic() * 1000 + self._ahead_ms)


def ask_time() -> RedisOp[int]:
    """The operation that answers the server's time in Unix milliseconds."""
    return RedisOp(_milliseconds, ("TIME",))


def _milliseconds(reply: Reply) -> int:
    seconds, micros = reply
    return int(seconds) * 1000 + int(micros) // 1000
