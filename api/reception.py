"""The reception: all connections of one process, what bounds them, and who shows those out whose patience is over."""

import resource
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from api.connection import Connection
from api.connection_book import ConnectionBook, Phase
from headrace.settings import Settings

#: Longer than clients and proxies keep idle connections, so that none is closed under a request on its way.
_KEEP_ALIVE_S = 75.0
#: So long who was refused may read why, while what it still sends is thrown away.
_PARTING_S = 2.0
#: After a pause of its own this long, a process has not read what came meanwhile, and may call nobody late.
_OWN_PAUSE_S = 0.5
#: File descriptors that are not for callers.
_OWN_DESCRIPTORS = 64


class Bounds(NamedTuple):
    """What connections are held to."""

    connections: int
    header_bytes: int
    header_s: float
    body_s: float
    sending_s: float

    @classmethod
    def of(cls, settings: Settings) -> "Bounds":
        """Those of the settings, and no more connections than this process may open."""
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return cls(
            connections=max(1, min(settings.api_max_connections, allowed - _OWN_DESCRIPTORS)),
            header_bytes=settings.max_header_bytes,
            header_s=settings.header_timeout_s,
            body_s=settings.body_timeout_s,
            sending_s=settings.send_timeout_s,
        )


class Reception:
    """Of one process.

    Args:
        bounds: that hold for its connections.
        now: seconds that only rise.
    """

    def __init__(self, bounds: Bounds, *, now: Callable[[], float] = time.monotonic) -> None:
        self.bounds = bounds
        self.now = now
        self.book: ConnectionBook[Connection] = ConnectionBook(
            most=bounds.connections,
            patience_s={
                Phase.PARTING: _PARTING_S,
                Phase.IDLE: _KEEP_ALIVE_S,
                Phase.HEAD: bounds.header_s,
                Phase.BODY: bounds.body_s,
            },
            sending_s=bounds.sending_s,
        )
        #: Connections that were refused or cut off, by why.
        self.dropped: Counter[str] = Counter()
        self._swept_at = now()

    def sweep(self) -> None:
        """Show those out whose patience is over; to be called several times a second."""
        before, self._swept_at = self._swept_at, (now := self.now())
        if now - before > _OWN_PAUSE_S:
            return
        for connection in self.book.stalled(now):
            connection.is_stalled()
        for connection, _ in self.book.overdue(now):
            connection.is_overdue()


def allow_descriptors(wanted: int) -> None:
    """Let this process open as many files as so many connections take, as far as the system has it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = wanted + _OWN_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < enough:
        most = enough if hard == resource.RLIM_INFINITY else min(enough, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
