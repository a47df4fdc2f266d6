"""Strict durability: a 202 is sent only after the disk has what was accepted, one sync for many submissions.

Redis answers a script before its append-only file is synced, so a power loss right afterwards could forget the job
(up to about a second of jobs with `appendfsync everysec`). WAITAOF, of Redis 7.2, waits for the sync of everything that
its own connection has written. So a connection of its own writes a mark behind the submissions of the moment and waits
for that: while one wait is under way, the submissions that come meanwhile gather for the next (group commit, Gawlick
and Kinkade 1985).
"""

import asyncio
import contextlib
import logging
from typing import Literal

import redis

from headrace.errors import HeadraceError, NotDurable, SettingsError
from headrace.keys import Keys
from headrace.mux import Mux
from headrace.redis_op import RedisOp

log = logging.getLogger("headrace.durability")

#: A healthy disk syncs within a second or two; what takes longer is said to be uncertain.
SYNC_LIMIT_S = 5.0
_PROBE_S = 1.0
_WAY_OUT = (
    "strict durability needs Redis 7.2 or Valkey with its append-only file on (appendonly yes, appendfsync everysec or"
    " always); else set HEADRACE_DURABILITY=everysec"
)

Durability = Literal["everysec", "strict"]


class Everysec:
    """Says nothing about the disk: Redis syncs about once a second, and a power loss may cost that second."""

    async def start(self) -> None:
        """Nothing to prepare."""

    async def close(self) -> None:
        """Nothing to end."""

    def require(self) -> None:
        """Accept always."""

    async def reached(self) -> None:
        """Return at once."""


class Strict:
    """Waits for the disk.

    Args:
        url: of Redis; the waiting has a connection of its own, because WAITAOF blocks it.
        keys: of the cell.
        limit_s: longest wait for one sync.
    """

    def __init__(self, *, url: str, keys: Keys, limit_s: float = SYNC_LIMIT_S) -> None:
        # Longer than the server's own limit, so that it is the server who says that the sync has not come.
        self._mux = Mux(url=url, timeout_s=2 * limit_s)
        self._limit_ms = round(1000 * limit_s)
        self._mark: RedisOp[object] = RedisOp(lambda reply: reply, ("SET", keys.barrier, 1))
        self._gathering: asyncio.Task[None] | None = None
        self._running: asyncio.Task[None] | None = None
        self._prober: asyncio.Task[None] | None = None
        #: Why nothing can be accepted now; empty when all is well.
        self.problem = "the server has not yet been asked whether it can sync"

    async def start(self) -> None:
        """Connect and ask the server whether it can; one that cannot be asked yet is asked again in the background.

        Raises:
            SettingsError: if the server can never do it as it is set up.
        """
        await self._mux.start()
        try:
            await self.reached()
        except HeadraceError as error:
            log.warning("durability: %s", error.detail)
            if isinstance(error, NotDurable) and error.retry_after_s is None:
                await self.close()
                raise SettingsError(error.detail) from error
        self._prober = asyncio.create_task(self._probe())

    async def close(self) -> None:
        """Disconnect."""
        if self._prober is not None:
            self._prober.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._prober
        await self._mux.close()

    def require(self) -> None:
        """Refuse before anything is stored, if the disk is known not to follow.

        Raises:
            NotDurable: saying why.
        """
        if self.problem:
            raise NotDurable(self.problem, retry_after_s=1)

    async def reached(self) -> None:
        """Return when the disk has everything that Redis had answered before this call.

        Raises:
            NotDurable: if the sync did not come in time, or (without `retry_after_s`) the server cannot do it as it is
                set up; what was stored may last or not.
            RedisUnavailable: if the server cannot be reached.
        """
        if self._gathering is None:
            self._gathering = asyncio.create_task(self._sync(after=self._running))
            # Whoever waited may have hung up: a failure that nobody hears is none of the loop's business.
            self._gathering.add_done_callback(lambda sync: sync.cancelled() or sync.exception())
        await asyncio.shield(self._gathering)

    async def _sync(self, *, after: asyncio.Task[None] | None) -> None:
        if after is not None:
            await asyncio.wait([after])
        # Whoever comes from now on may have been answered after the mark was sent.
        self._running, self._gathering = self._gathering, None
        try:
            await self._write_and_wait()
        except HeadraceError as error:
            self.problem = error.detail
            raise
        self.problem = ""

    async def _write_and_wait(self) -> None:
        wait = RedisOp(_synced, ("WAITAOF", 1, 0, self._limit_ms))
        try:
            _, synced = await asyncio.gather(self._mux.run(self._mark), self._mux.run(wait))
        except redis.ResponseError as error:
            raise NotDurable(f"Redis cannot say when its disk has followed ({error}); {_WAY_OUT}") from error
        if not synced:
            raise NotDurable(
                f"the disk of Redis has not followed within {self._limit_ms / 1000:g} s; the job may be kept or not:"
                " send it again with the same Idempotency-Key",
                retry_after_s=1,
            )

    async def _probe(self) -> None:
        """Notice that a server has come, or that its disk follows again, also when nobody submits."""
        while True:
            await asyncio.sleep(_PROBE_S)
            if self.problem:
                with contextlib.suppress(HeadraceError):
                    await self.reached()


def _synced(reply: object) -> bool:
    return isinstance(reply, list) and reply[0] >= 1


def make_barrier(durability: Durability, *, url: str, keys: Keys) -> Everysec | Strict:
    """What a submission passes between being stored and being accepted."""
    return Strict(url=url, keys=keys) if durability == "strict" else Everysec()
