"""The API's connection to Redis: one for all requests of the process, pipelined, reopened when lost.

A connection per call costs half of a route's throughput; here what arrives in one turn of the event loop leaves in a
few writes. A call that was sent when the connection broke fails: it may or may not have been carried out, and
only its caller knows whether it is safe to repeat.
"""

import asyncio
import contextlib
import logging
import random
from typing import TypeVar

import hiredis
import redis

from headrace.errors import RedisUnavailable
from headrace.redis_address import RedisAddress
from headrace.redis_op import RedisOp, Reply
from headrace.redis_pipe import RedisPipe

T = TypeVar("T")
U = TypeVar("U")

log = logging.getLogger("headrace.mux")

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0

#: First words of replies by which a living server says that it cannot serve now.
_UNABLE = frozenset({"OOM", "MISCONF", "LOADING", "READONLY", "MASTERDOWN", "NOREPLICAS", "BUSY", "CLUSTERDOWN"})


class Mux:
    """Carries out operations for many tasks over one connection.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        timeout_s: longest wait for one answer, and for a connection.
        max_waiting: calls that may be unanswered at once; more are refused.
    """

    def __init__(self, *, url: str, timeout_s: float = 1.5, max_waiting: int = 10_000) -> None:
        self._address = RedisAddress.parse(url)
        self._timeout_s = timeout_s
        self._max_waiting = max_waiting
        self._pipe: RedisPipe | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()

    async def start(self) -> None:
        """Connect, and keep connected from now on; returns after the first attempt, whatever came of it."""
        self._keeper = asyncio.create_task(self._keep_connected())
        await self._tried.wait()

    async def close(self) -> None:
        """Give up the connection; calls under way fail."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        if self._pipe is not None:
            self._pipe.abort()
            await self._pipe.lost.wait()

    @property
    def is_connected(self) -> bool:
        """Tell whether calls can be sent now."""
        return self._pipe is not None and not self._pipe.lost.is_set()

    async def run(self, op: RedisOp[T]) -> T:
        """Carry out one operation.

        Raises:
            RedisUnavailable: if the server cannot be reached, does not answer in time or cannot serve now.
            redis.ResponseError: if the server refuses the command.
        """
        pipe = self._usable_pipe()
        reply = await pipe.send(op.command)
        if isinstance(reply, hiredis.ReplyError) and str(reply).startswith("NOSCRIPT"):
            reply = await pipe.send(op.fallback)
        return op.parse(_checked(reply))

    async def run_both(self, first: RedisOp[T], second: RedisOp[U]) -> tuple[T, U]:
        """Carry out two plain commands in one round trip; raises as `run` does."""
        pipe = self._usable_pipe()
        answers = pipe.send(first.command), pipe.send(second.command)
        return first.parse(_checked(await answers[0])), second.parse(_checked(await answers[1]))

    def _usable_pipe(self) -> RedisPipe:
        pipe = self._pipe
        if pipe is None or pipe.lost.is_set():
            raise RedisUnavailable(f"Redis at {self._address} cannot be reached; nothing was stored", retry_after_s=1)
        if pipe.waiting >= self._max_waiting:
            raise RedisUnavailable(f"{pipe.waiting} calls already wait for Redis; try again", retry_after_s=1)
        return pipe

    # --- keeping connected -----------------------------------------------------------------------------------

    async def _keep_connected(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                self._pipe = await self._connect()
                pause_s = _FIRST_PAUSE_S
                log.debug("connected to Redis at %s", self._address)
                self._tried.set()
                await self._pipe.lost.wait()
                log.warning("lost the connection to Redis at %s", self._address)
            except (OSError, TimeoutError, RedisUnavailable, redis.ResponseError) as error:
                log.warning("Redis at %s: %s; trying again", self._address, error)
            self._tried.set()
            await asyncio.sleep(pause_s * random.uniform(0.5, 1))
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _connect(self) -> RedisPipe:
        async with asyncio.timeout(self._timeout_s):
            pipe = await self._open()
            try:
                for answer in [pipe.send(command) for command in self._address.greeting]:
                    _checked(await answer)
            except BaseException:
                pipe.abort()
                raise
        return pipe

    async def _open(self) -> RedisPipe:
        loop, where = asyncio.get_running_loop(), self._address

        def protocol() -> RedisPipe:
            return RedisPipe(timeout_s=self._timeout_s)

        if where.path:
            return (await loop.create_unix_connection(protocol, where.path))[1]
        return (await loop.create_connection(protocol, where.host, where.port, ssl=where.tls))[1]


def _checked(reply: Reply) -> Reply:
    if not isinstance(reply, hiredis.ReplyError):
        return reply
    text = str(reply)
    if text.partition(" ")[0] in _UNABLE:
        raise RedisUnavailable(f"Redis cannot serve now: {text}", retry_after_s=1)
    raise redis.ResponseError(text)
