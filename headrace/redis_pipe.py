"""One live connection to Redis that pipelines: what is sent in one turn of the event loop leaves in few writes.

Answers come in the order of the calls, so a queue of futures is all the bookkeeping there is, and the oldest
unanswered call tells whether the server still answers.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, cast

import hiredis

from headrace.errors import RedisUnavailable
from headrace.redis_op import Argument, Reply, pack

#: So many calls leave at once instead of at the end of the turn: whom they concern begins while the others are made.
_ENOUGH = 8


class _Call(NamedTuple):
    answer: asyncio.Future[Reply]
    sent_at: float


class RedisPipe(asyncio.Protocol):
    """A connection from its making to its loss; it is never reopened.

    Args:
        timeout_s: age of an unanswered call at which the connection counts as dead.
    """

    def __init__(self, *, timeout_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout_s = timeout_s
        self._reader = hiredis.Reader()
        self._calls: deque[_Call] = deque()
        self._unsent: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._watchdog: asyncio.TimerHandle | None = None
        self._heard_at = self._loop.time()
        #: Set once the connection is gone.
        self.lost = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Calls that have no answer yet."""
        return len(self._calls)

    def send(self, command: Sequence[Argument]) -> asyncio.Future[Reply]:
        """Send a command with others of this turn; the future gives the reply, a `hiredis.ReplyError` as a value.

        Raises:
            RedisUnavailable: if the connection is gone; the future raises it if the connection goes before the answer.
        """
        if self.lost.is_set():
            raise RedisUnavailable("the connection to Redis is lost")
        answer: asyncio.Future[Reply] = self._loop.create_future()
        self._calls.append(_Call(answer, self._loop.time()))
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(pack(command))
        if len(self._unsent) == _ENOUGH:
            self._flush()
        return answer

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if unsent and self._transport is not None and not self.lost.is_set():
            self._transport.write(b"".join(unsent))

    def abort(self) -> None:
        """Drop the connection; unanswered calls fail."""
        if self._transport is not None:
            self._transport.abort()

    # --- called by the event loop ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to watch."""
        # uvloop's transports derive from nothing of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        # Calls are gathered here already; uvloop would hold what is written to the end of the turn once more.
        self._transport.set_write_buffer_limits(high=0)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Hand replies to their callers; a caller that gave up gets none."""
        self._heard_at = self._loop.time()
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            answer = self._calls.popleft().answer
            if not answer.done():
                answer.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - its name is asyncio's
        """Fail what is unanswered: nobody can know whether the server carried it out."""
        self.lost.set()
        if self._watchdog is not None:
            self._watchdog.cancel()
        while self._calls:
            answer = self._calls.popleft().answer
            if not answer.done():
                answer.set_exception(RedisUnavailable("the connection to Redis was lost"))
                answer.exception()  # a caller that gave up must not make the loop complain

    def _watch(self) -> None:
        if self._calls and self._loop.time() - self._calls[0].sent_at > self._timeout_s:
            self.abort()
            return
        if not self._calls and self._loop.time() - self._heard_at > self._timeout_s:
            # A peer that is gone without a word would else be noticed by the next caller, at its cost.
            self.send(("PING",))
        self._watchdog = self._loop.call_later(self._timeout_s / 4, self._watch)
