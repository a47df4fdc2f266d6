"""Who waits for which job to end. Pure bookkeeping; `event_feed` says what happened."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Waiters:
    """Signals by job member. A wake-up means: read the record again."""

    def __init__(self) -> None:
        self._signals: dict[str, set[asyncio.Event]] = {}
        #: True once the process is stopping: nobody should wait any longer.
        self.is_closed = False

    def __len__(self) -> int:
        return len(self._signals)

    @contextmanager
    def watching(self, member: str) -> Iterator[asyncio.Event]:
        """A signal that is set whenever something happens to the job, from now until the block ends."""
        signal = asyncio.Event()
        self._signals.setdefault(member, set()).add(signal)
        try:
            yield signal
        finally:
            signals = self._signals[member]
            signals.discard(signal)
            if not signals:
                del self._signals[member]

    def wake(self, member: str) -> None:
        """Something happened to this job."""
        for signal in self._signals.get(member, ()):
            signal.set()

    def wake_all(self) -> None:
        """Anything may have happened to any job."""
        for member in self._signals:
            self.wake(member)

    def close(self) -> None:
        """Let everybody go with what they know."""
        self.is_closed = True
        self.wake_all()
