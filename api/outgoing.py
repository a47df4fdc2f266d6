"""What is sent of an answer: its head leaves together with the beginning of its body.

ASGI asks servers for that; uvicorn sends them apart, which costs two system calls and wakes the caller twice.
"""

from typing import Any

#: Of a body that has more, the beginning is sent after the head: to put them together would take longer.
_MOST_JOINED_BYTES = 65_536


class Outgoing:
    """The transport of a connection as the answers on it see it.

    Args:
        transport: where all goes.
    """

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        #: The answer whose head is to come.
        self._cycle: Any = None
        self._head = b""
        self.is_closing = transport.is_closing

    def begin(self, cycle: Any) -> None:
        """What is written from now on is of this answer."""
        self._cycle = cycle
        cycle.transport = self

    def write(self, data: bytes) -> None:
        """Send what the answer goes on with; its head is held until then."""
        if self._cycle is not None and self._cycle.response_started:
            self._cycle, self._head = None, data
            return
        head, self._head = self._head, b""
        if head and len(data) > _MOST_JOINED_BYTES:
            self._transport.write(head)
            head = b""
        self._transport.write(head + data if head else data)

    def flush(self) -> None:
        """Send a head that nothing follows."""
        if self._head:
            self.write(b"")

    def close(self) -> None:
        """Close the connection once all is sent."""
        self.flush()
        self._transport.close()
