"""A Redis connection on the event loop: never blocks in either direction; replies come, in order, to callbacks."""

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import hiredis
import redis

from headrace.redis_op import Argument, RedisOp, Reply, pack
from workers.loop import Loop
from workers.outbox import Outbox

log = logging.getLogger("headrace.wire")

T = TypeVar("T")

_CONNECT_LIMIT_S = 2.0
_READ_BYTES = 1 << 18


class Wire:
    """One connection.

    Args:
        url: where Redis is; redis-py does the handshake (TLS, password, database), afterwards only its socket is used.
        on_lost: called once when the connection breaks, with what broke it; what was not answered stays unanswered.
    """

    def __init__(self, *, url: str, on_lost: Callable[[Exception], None]) -> None:
        pool = redis.ConnectionPool.from_url(
            url, protocol=2, socket_connect_timeout=_CONNECT_LIMIT_S, socket_timeout=_CONNECT_LIMIT_S
        )
        self._make_connection = pool.make_connection
        self._on_lost = on_lost
        self._loop: Loop | None = None
        self._connection: Any = None
        self._fd = -1
        # Kept: to ask for as much at each read costs more than most reads.
        self._memory = bytearray(_READ_BYTES)

    @property
    def is_open(self) -> bool:
        """True between `connect` and the loss of the connection."""
        return self._connection is not None

    @property
    def is_waiting(self) -> bool:
        """True while an answer is due."""
        return self._connection is not None and bool(self._waiting)

    def connect(self) -> None:
        """Open the connection; blocks up to two seconds.

        Raises:
            redis.RedisError, OSError: if that fails.
        """
        connection: Any = self._make_connection()
        connection.connect()
        sock = connection._sock
        sock.setblocking(False)
        self._connection, self._socket, self._fd = connection, sock, sock.fileno()
        # The loop keeps one entry a descriptor, so reading and writing need two.
        self._write_fd = os.dup(self._fd)
        self._outbox = Outbox(self._write_fd)
        self._replies = hiredis.Reader()
        self._waiting: deque[tuple[Callable[[Reply], None], float]] = deque()
        self._heard_at = time.monotonic()
        if self._loop is not None:
            self.attach(self._loop)

    def attach(self, loop: Loop) -> None:
        """Go on with this loop."""
        self._loop = loop
        if self._connection is not None:
            loop.add_reader(self._fd, self._on_readable)
            self._outbox.attach(loop)

    def send(self, op: RedisOp[T], callback: Callable[[T], None], on_error: Callable[[Exception], None]) -> None:
        """Carry out an operation; exactly one of the callbacks is called, unless the connection breaks first."""

        def answered(reply: Reply) -> None:
            if isinstance(reply, Exception):
                if op.script is not None and str(reply).startswith("NOSCRIPT"):
                    self._send(op.fallback, second)
                else:
                    on_error(reply)
            else:
                callback(op.parse(reply))

        def second(reply: Reply) -> None:
            if isinstance(reply, Exception):
                on_error(reply)
            else:
                callback(op.parse(reply))

        self._send(op.command, answered)

    def _send(self, command: Sequence[Argument], on_reply: Callable[[Reply], None]) -> None:
        if self._connection is None:
            return
        self._waiting.append((on_reply, time.monotonic()))
        try:
            self._outbox.send(pack(command))
        except OSError as error:
            self._lose(error)

    def _on_readable(self) -> None:
        try:
            count = self._socket.recv_into(self._memory)
        except BlockingIOError:
            return None
        except OSError as error:
            return self._lose(error)
        if not count:
            return self._lose(ConnectionError("Redis closed the connection"))
        self._heard_at = time.monotonic()
        self._replies.feed(self._memory, 0, count)  # type: ignore[arg-type] # any buffer
        while self._connection is not None and (reply := self._replies.gets()) is not False:
            self._answer(self._waiting.popleft()[0], reply)
        return None

    @staticmethod
    def _answer(on_reply: Callable[[Reply], None], reply: Reply) -> None:
        try:
            on_reply(reply)
        except Exception:
            # Celery's loop would end the worker, or take it for a broken connection of its own.
            log.exception("an answer from Redis could not be used")

    def ask(self, *, silent_s: float) -> None:
        """Ask the server whether it is there if nothing was heard for so long and no answer is due.

        A peer that is gone without a word (half-open connection) would else be noticed by the next claim or commit.
        """
        if self._connection is not None and not self._waiting and time.monotonic() - self._heard_at > silent_s:
            self._send(("PING",), lambda _: None)

    def check(self, *, limit_s: float) -> None:
        """Give the connection up if an answer has been due for longer than `limit_s`: its peer may be gone silently."""
        if self._connection is not None and self._waiting and time.monotonic() - self._waiting[0][1] > limit_s:
            self._lose(TimeoutError(f"no answer from Redis for {limit_s:.0f} s"))

    def _lose(self, error: Exception) -> None:
        if self._connection is not None:
            self.close()
            self._on_lost(error)

    def close(self) -> None:
        """Drop the connection without telling anybody."""
        if self._connection is None:
            return
        connection, self._connection = self._connection, None
        if self._loop is not None:
            self._loop.remove_reader(self._fd)
            self._outbox.detach()
        os.close(self._write_fd)
        connection.disconnect()
        self._waiting.clear()
