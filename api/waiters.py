"""Who waits for which job to end. Pure bookkeeping; `event_feed` says what happened."""

import asyncio
import contextlib


class Watch:
    """Wakes one who waits. That means: read the record again, unless the end was told."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._bell: asyncio.Future[None] = self._loop.create_future()
        #: How the job has ended (`ends.read_end`), empty as long as that was not told.
        self.end = b""

    def ring(self, end: bytes = b"") -> None:
        """Wake who waits, now or when it begins to."""
        self.end = end or self.end
        if not self._bell.done():
            self._bell.set_result(None)

    async def rung(self) -> None:
        """Return once it has rung since the last time."""
        await self._bell
        self._bell = self._loop.create_future()


class Waiters:
    """Watches by job member."""

    def __init__(self) -> None:
        self._watches: dict[str, set[Watch]] = {}
        #: Set as long as there is one.
        self._has_some = asyncio.Event()
        #: True once the process is stopping: nobody should wait any longer.
        self.is_closed = False

    def __len__(self) -> int:
        return len(self._watches)

    def watch(self, member: str) -> Watch:
        """A watch that rings whenever something happens to the job, from now until it is put away (`leave`)."""
        watch = Watch()
        self._watches.setdefault(member, set()).add(watch)
        self._has_some.set()
        return watch

    def leave(self, member: str, watch: Watch) -> None:
        """Put a watch away."""
        watches = self._watches[member]
        watches.discard(watch)
        if not watches:
            del self._watches[member]
            if not self._watches:
                self._has_some.clear()

    async def somebody(self, limit_s: float) -> None:
        """Return as soon as somebody waits for any job, at the latest after `limit_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._has_some.wait()

    def wake(self, member: str, end: bytes = b"") -> None:
        """Something happened to this job; with `end`, that it ended so."""
        for watch in self._watches.get(member, ()):
            watch.ring(end)

    def wake_all(self) -> None:
        """Anything may have happened to any job."""
        for member in self._watches:
            self.wake(member)

    def close(self) -> None:
        """Let everybody go with what they know."""
        self.is_closed = True
        self.wake_all()
