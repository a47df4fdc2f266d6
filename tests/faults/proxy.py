"""A TCP proxy for one link of one process, to be cut, held up, slowed down or reset by tests. Needs no root.

What is held up is not lost: as with a broken wire, it arrives after the link is whole again, unless one side gave the
connection up meanwhile. A held link accepts connections and lets neither bytes nor ends through: nobody gets an RST.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import Future
from enum import StrEnum
from typing import Self

from scheduler.embedded_server import free_port

_CHUNK_BYTES = 65_536


class Way(StrEnum):
    """The two directions of a link."""

    TO_SERVER = "to_server"
    TO_CLIENT = "to_client"


class Link:
    """Listens on `port` of loopback and passes everything on to `target_port`; used as a context manager.

    Runs in a thread of its own; its methods may be called from any.
    """

    def __init__(self, *, target_port: int) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        #: Connections that were ever made.
        self.connections = 0
        self._abandoned = 0
        self._target_port = target_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"link {self.port}", daemon=True)
        self._open = {way: asyncio.Event() for way in Way}
        self._delay_s = 0.0
        self._left: dict[Way, float] = dict.fromkeys(Way, float("inf"))
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread.start()
        self._call(self._start)

    # --- what may happen to it

    def heal(self) -> None:
        """Pass everything again, at once."""

        def heal() -> None:
            self._delay_s = 0.0
            self._left = dict.fromkeys(Way, float("inf"))
            for gate in self._open.values():
                gate.set()

        self._call(heal)

    def hold(self, *ways: Way) -> None:
        """Let nothing through in these directions, both by default: a black hole, without RST."""

        def hold() -> None:
            for way in ways or Way:
                self._open[way].clear()

        self._call(hold)

    def abandon(self) -> None:
        """Forget all connections without a word, as a router does that was restarted; new ones pass."""
        self._abandoned = self.connections

    def delay(self, seconds: float) -> None:
        """Let everything arrive so much later."""
        self._delay_s = seconds

    def cut_after(self, size_bytes: int, way: Way) -> None:
        """Break all connections by RST once so many more bytes have gone in a direction."""
        self._left[way] = size_bytes

    def reset(self) -> None:
        """Break all connections by RST; new ones are taken."""
        self._call(self._abort_all)

    # --- life

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Break everything and listen no more."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, act: Callable[[], object]) -> None:
        done: Future[None] = Future()

        def run() -> None:
            act()
            done.set_result(None)

        self._loop.call_soon_threadsafe(run)
        done.result(10)

    def _start(self) -> None:
        for gate in self._open.values():
            gate.set()
        listener = socket.create_server(("127.0.0.1", self.port), backlog=256)
        self._tasks.add(self._loop.create_task(self._serve(listener)))

    async def _serve(self, listener: socket.socket) -> None:
        server = await asyncio.start_server(self._accept, sock=listener)
        async with server:
            await server.serve_forever()

    async def _end(self) -> None:
        self._abort_all()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- one connection

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self._writers.add(writer)
        try:
            await self._open[Way.TO_SERVER].wait()
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except (OSError, asyncio.CancelledError):
            _abort(writer)
            self._writers.discard(writer)
            return
        self._writers.add(far_writer)
        ways = (
            self._pump(reader, far_writer, Way.TO_SERVER, number),
            self._pump(far_reader, writer, Way.TO_CLIENT, number),
        )
        try:
            await asyncio.gather(*ways)
        except asyncio.CancelledError:
            pass  # the link is closed; asyncio's server would report it
        finally:
            for end in (writer, far_writer):
                _abort(end)
                self._writers.discard(end)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way, number: int) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK_BYTES):
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                await self._pass(way, number)
                self._left[way] -= len(data)
                if self._left[way] < 0:
                    self._left[way] = float("inf")
                    self._abort_all()
                    return
                writer.write(data)
                await writer.drain()
        await self._pass(way, number)
        # One side has ended: so does the other, as soon as the link lets it know.
        with contextlib.suppress(OSError):
            writer.close()

    async def _pass(self, way: Way, number: int) -> None:
        await self._open[way].wait()
        if number <= self._abandoned:
            await asyncio.Event().wait()

    def _abort_all(self) -> None:
        for writer in list(self._writers):
            _abort(writer)
        self._writers.clear()


def _abort(writer: asyncio.StreamWriter) -> None:
    """End a connection by RST."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
