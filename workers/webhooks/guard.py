"""GuardedNetwork: connects to vetted addresses only. The name is resolved once, here, and nobody resolves it again.

It sits where connections are made, below everything that knows of HTTP, so nothing goes around it: no redirect, no
proxy, no name that means another address a moment later. TLS above it still checks the certificate against the name.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import httpcore2

from headrace.addresses import Egress

#: Answers with all addresses of a host.
Resolve = Callable[[str, int], Awaitable[list[str]]]

_MOST_ADDRESSES = 16


class AddressRefused(httpcore2.ConnectError):
    """Raised when a name leads to an address that webhooks may not be sent to."""


class NameNotResolved(httpcore2.ConnectError):
    """Raised when a name has no address."""


async def resolve(host: str, port: int) -> list[str]:
    """Ask the system's resolver.

    Raises:
        NameNotResolved: if it knows none.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NameNotResolved(f"{host}: {error}") from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class OneWrite(httpcore2.AsyncNetworkStream):
    """A stream on which the head of a request waits for its body: one packet and one call of the system, not two."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream
        self._head = b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - the library's
        """Send, or keep the head of a request that has a body."""
        if not self._head and buffer.startswith(b"POST ") and buffer.endswith(b"\r\n\r\n"):
            self._head = buffer
            return
        head, self._head = self._head, b""
        await self._stream.write(head + buffer, timeout)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - the library's
        """Receive; by now the whole request has gone."""
        if self._head:
            await self.write(b"", timeout)
        return await self._stream.read(max_bytes, timeout)

    async def aclose(self) -> None:
        """Close."""
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's
    ) -> httpcore2.AsyncNetworkStream:
        """Go on encrypted."""
        return OneWrite(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """What is known of the connection."""
        return self._stream.get_extra_info(info)


class GuardedNetwork(httpcore2.AsyncNetworkBackend):
    """Network of an HTTP connection pool.

    Args:
        egress: judges the addresses.
        resolver: finds them.
    """

    def __init__(self, *, egress: Egress, resolver: Resolve = resolve) -> None:
        self._egress = egress
        self._resolve = resolver
        self._network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is the library's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address that answers; one bad address among them is reason enough not to.

        Raises:
            AddressRefused, NameNotResolved, httpcore2.ConnectError, httpcore2.ConnectTimeout
        """
        addresses = await self._resolve(host, port)
        if refused := self._egress.refused(addresses):
            raise AddressRefused(f"{host} leads to {refused[0]}, which webhooks may not be sent to")
        addresses = addresses[:_MOST_ADDRESSES]
        share_s = None if timeout is None else timeout / max(1, len(addresses))
        last: Exception = NameNotResolved(f"{host} has no address")
        for address in addresses:
            try:
                stream = await self._network.connect_tcp(address, port, share_s, local_address, socket_options)
                return OneWrite(stream)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                last = error
        raise last

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore2.AsyncNetworkStream:
        """Refuse: webhooks go over the network.

        Raises:
            AddressRefused: always.
        """
        raise AddressRefused("webhooks are not sent to sockets of this host")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)
