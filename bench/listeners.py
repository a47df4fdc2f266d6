"""Listeners on this machine that do with each connection what they are told."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Trap:
    """A listener that counts connections."""

    def __init__(self, host: str, port: int) -> None:
        self.port = port
        self.url = f"http://{host}:{port}/"
        self.connections = 0


@asynccontextmanager
async def listening(
    behaviour: Behaviour, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Trap]:
    """A listener whose every connection goes through `behaviour`, then is closed."""
    tasks: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        trap.connections += 1
        tasks.add(asyncio.current_task())
        try:
            await behaviour(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the sender has heard enough, or the test is over
        finally:
            writer.close()

    server = await asyncio.start_server(serve, host, 0, ssl=tls)
    trap = Trap(host, server.sockets[0].getsockname()[1])
    try:
        yield trap
    finally:
        server.close()
        for task in tasks:
            if task is not None:
                task.cancel()
        await asyncio.sleep(0)


def saying(answer: bytes) -> Behaviour:
    """Read a request's head, answer, close."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    return behave
