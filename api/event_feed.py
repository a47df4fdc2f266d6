"""Reads the stream of job events and wakes those who wait, so that a wait costs Redis nothing while it lasts.

Of a job whose submitter waits the event tells the end itself, which is handed to who waits here for just that job.
While nobody wants to hear of any end, entries are passed over, many at a time: each would else take a core from those
who work.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

from api.waiters import Waiters
from headrace.errors import RedisUnavailable
from headrace.jobs import JobStatus
from headrace.keys import Keys
from headrace.mux import Mux
from headrace.redis_op import RedisOp, Reply

log = logging.getLogger("headrace.api")

_BLOCK_MS = 5_000
_PAUSE_S = 0.1
#: Between readings while they concern nobody.
_QUIET_S = 0.02
#: Entries read at once. Less than the stream keeps, so that a reading that is not full cannot have missed any.
_COUNT = 500

_TERMINAL = frozenset(str(status).encode() for status in JobStatus if status.is_terminal)


class _Entry(NamedTuple):
    id: bytes
    #: `jobs`, "member state member state …", then members and their ends, of those that were told (`ends.read_end`).
    fields: Sequence[bytes]


class EventFeed:
    """Follows the events from the moment of `start`; after anything it may have missed, everybody is woken.

    Args:
        url: where Redis is; the feed's reading blocks, so it has a connection of its own.
        keys: of the cell.
        waiters: whom to wake.
        on_end: told of each job that ended, and how.
        is_concerned: whether that is of interest at all, beside those who wait.
    """

    def __init__(
        self,
        *,
        url: str,
        keys: Keys,
        waiters: Waiters,
        on_end: Callable[[str, str], None],
        is_concerned: Callable[[], bool],
    ) -> None:
        self._mux = Mux(url=url, timeout_s=_BLOCK_MS / 1000 + 3)
        self._stream = keys.events
        self._waiters = waiters
        self._on_end = on_end
        self._is_concerned = is_concerned
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect and follow in the background."""
        await self._mux.start()
        self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._mux.close()

    @property
    def is_connected(self) -> bool:
        """Tell whether ends of jobs are being heard."""
        return self._mux.is_connected

    async def _follow(self) -> None:
        while True:
            try:
                last = await self._newest()
                self._waiters.wake_all()
                while True:
                    last = await self._read_on(last)
            except RedisUnavailable:
                await asyncio.sleep(_PAUSE_S)
            except Exception:
                # Whatever it was, those who wait depend on this loop.
                log.exception("the event stream %s cannot be read", self._stream)
                await asyncio.sleep(_BLOCK_MS / 1000)

    async def _newest(self) -> bytes:
        command = ("XREVRANGE", self._stream, "+", "-", "COUNT", 1)
        entries = await self._mux.run(RedisOp(_entries, command))
        return entries[0].id if entries else b"0-0"

    async def _read_on(self, last: bytes) -> bytes:
        command = ("XREAD", "COUNT", _COUNT, "BLOCK", _BLOCK_MS, "STREAMS", self._stream, last)
        entries = await self._mux.run(RedisOp(_streams, command))
        if not entries:
            return last
        if self._waiters or self._is_concerned():
            for entry in entries:
                self._wake(entry.fields)
            await asyncio.sleep(0)  # who was woken answers before the next reading is asked for
        else:
            await self._waiters.somebody(_QUIET_S)
        if len(entries) == _COUNT and await self._was_trimmed_past(last):
            self._waiters.wake_all()
        return entries[-1].id

    async def _was_trimmed_past(self, last: bytes) -> bool:
        command = ("XRANGE", self._stream, "-", "+", "COUNT", 1)
        oldest = await self._mux.run(RedisOp(_entries, command))
        return bool(oldest) and _order(oldest[0].id) > _order(last)

    def _wake(self, fields: Sequence[bytes]) -> None:
        words = fields[1].split(b" ")
        ends = dict(zip(fields[2::2], fields[3::2], strict=True))
        for member, state in zip(words[::2], words[1::2], strict=False):
            if state in _TERMINAL:
                name = member.decode(errors="replace")
                self._on_end(name, state.decode())
                self._waiters.wake(name, ends.get(member, b""))


def _entries(reply: Reply) -> list[_Entry]:
    # An entry deleted between two readings comes as None; one that is not ours has other fields.
    return [_Entry(identity, fields or (b"jobs", b"")) for identity, fields in reply or ()]


def _streams(reply: Reply) -> list[_Entry]:
    return _entries(reply[0][1]) if reply else []


def _order(entry_id: bytes) -> tuple[int, int]:
    milliseconds, _, sequence = entry_id.partition(b"-")
    return int(milliseconds), int(sequence)
