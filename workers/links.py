"""Links: the engine's two connections to Redis, kept open: one for commands, one that may block at the bell."""

import logging
from collections.abc import Callable

import redis

from workers.backoff import Backoff
from workers.bell import LONGEST_WAIT_MS
from workers.loop import Loop
from workers.wire import Wire

log = logging.getLogger("headrace.links")

#: How long an answer may be due at most, and at least; the bell's wait comes on top.
_MOST_ANSWER_S = 5.0
_LEAST_ANSWER_S = 2.0
#: An idle connection is asked so often whether anybody is there.
_SILENT_S = 1.0


class Links:
    """Opens both, and again after a loss, with growing pauses; a loss is noticed also where the peer just falls silent.

    Args:
        lease_ms: of jobs: a peer that is silent for a third of it is given up, within limits.
        on_lost: called when either is lost: what was under way on it will not be answered.
        on_open: called with True when the command connection is new.
    """

    def __init__(
        self, *, url: str, lease_ms: int, on_lost: Callable[[Wire], None], on_open: Callable[[bool], None]
    ) -> None:
        self.commands = Wire(url=url, on_lost=lambda error: self._lost(self.commands, error))
        self.bell = Wire(url=url, on_lost=lambda error: self._lost(self.bell, error))
        self._on_lost = on_lost
        self._on_open = on_open
        self._answer_limit_s = min(_MOST_ANSWER_S, max(_LEAST_ANSWER_S, lease_ms / 3000))
        self._backoff = Backoff(first_s=0.05, most_s=2.0)
        self._loop: Loop | None = None
        self._retrying = False

    def attach(self, loop: Loop) -> None:
        """Go on with this loop; opens what is not open."""
        self._loop = loop
        self._retrying = False
        self.commands.attach(loop)
        self.bell.attach(loop)
        self._open()

    def check(self) -> None:
        """Give up connections whose peer has gone silent."""
        self.commands.ask(silent_s=_SILENT_S)
        self.commands.check(limit_s=self._answer_limit_s)
        self.bell.check(limit_s=LONGEST_WAIT_MS / 1000 + self._answer_limit_s)

    def close(self) -> None:
        """Close both."""
        self._loop = None
        self.commands.close()
        self.bell.close()

    def _open(self) -> None:
        self._retrying = False
        is_new = not self.commands.is_open
        try:
            for wire in (self.bell, self.commands):
                if not wire.is_open:
                    wire.connect()
        except (redis.RedisError, OSError) as error:
            return self._retry(error)
        self._backoff.reset()
        return self._on_open(is_new)

    def _lost(self, wire: Wire, error: Exception) -> None:
        self._on_lost(wire)
        self._retry(error)

    def _retry(self, error: Exception) -> None:
        if self._retrying or self._loop is None:
            return
        self._retrying = True
        pause_s = self._backoff.next_s()
        log.warning("no connection to the queue (%s); next try in %.2f s", error, pause_s)
        self._loop.call_later(pause_s, self._open)
