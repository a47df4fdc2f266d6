"""Sends one prepared request over and over on many kept-alive connections; run as a process of its own by `http`.

Reads a plan as JSON from standard input and prints what came of it as JSON. A client library would cost more than the
server that is measured; this is a bare `asyncio.Protocol` that looks for the status and the length of each answer.
"""

import asyncio
import gc
import json
import sys
import time
from dataclasses import asdict, dataclass, replace
from typing import Self, cast

import uvloop

_LENGTH = b"content-length: "
_END = b"\r\n\r\n"
#: After which an answer counts as lost.
_SILENCE_S = 60.0


@dataclass(frozen=True, kw_only=True)
class LoadPlan:
    """What is sent."""

    port: int
    connections: int
    requests: int
    path: str
    headers: dict[str, str]
    body: str
    #: The status that every answer must have.
    status: int

    def sized(self, *, connections: int, requests: int) -> Self:
        """The same, so often."""
        return replace(self, connections=min(connections, requests), requests=requests)

    @property
    def request(self) -> bytes:
        """The bytes of one request."""
        body = self.body.encode()
        fields = {"Host": f"127.0.0.1:{self.port}", "Content-Length": str(len(body)), **self.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"POST {self.path} HTTP/1.1\r\n{lines}\r\n".encode() + body


@dataclass(frozen=True, kw_only=True)
class LoadResult:
    """What came of it."""

    requests: int
    #: When the first was sent, on the clock that all processes share.
    began_s: float
    seconds: float
    #: Of this process.
    cpu_s: float
    p50_ms: float
    p99_ms: float
    #: The last answer's body.
    last: str

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.requests / self.seconds


class LoadFailed(RuntimeError):
    """Raised for an answer that is not as it must be, or none."""


class Load:
    """The requests that are still to be sent, and the answers so far."""

    def __init__(self, plan: LoadPlan) -> None:
        self.request = plan.request
        self.status = f"HTTP/1.1 {plan.status} ".encode()
        self._unsent = plan.requests
        self._expected = plan.requests
        self.took_s: list[float] = []
        self.last = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def take(self) -> bool:
        """Tell whether one more is to be sent."""
        self._unsent -= 1
        return self._unsent >= 0

    def note(self, body: bytes, took_s: float) -> None:
        """An answer is complete."""
        self.last = body
        self.took_s.append(took_s)
        if len(self.took_s) == self._expected:
            self.done.set_result(None)

    def fail(self, why: str) -> None:
        """An answer was not as it must be."""
        if not self.done.done():
            self.done.set_exception(LoadFailed(why))


class Connection(asyncio.Protocol):
    """One client: sends, waits for the answer, sends the next."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out."""
        self._transport = cast("asyncio.Transport", transport)

    def send(self) -> None:
        """Send the next request, if there is one."""
        if self._transport is not None and self._load.take():
            self._sent_at = time.perf_counter()
            self._transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        """Look whether the answer is complete."""
        received = self._received = self._received + data
        end = received.find(_END)
        if end < 0:
            return
        at = received.lower().find(_LENGTH, 0, end) + len(_LENGTH)
        body_at = end + len(_END)
        if len(received) < body_at + int(received[at : received.find(b"\r", at)]):
            return
        if not received.startswith(self._load.status):
            self._load.fail(received.decode(errors="replace")[:2000])
            return
        self._received = b""
        self._load.note(received[body_at:], time.perf_counter() - self._sent_at)
        self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        """No answer will come any more."""
        self._load.fail(f"a connection was closed: {exc}")


async def run(plan: LoadPlan) -> LoadResult:
    """Send all requests.

    Raises:
        LoadFailed: if an answer had another status, or none came.
    """
    load, loop = Load(plan), asyncio.get_running_loop()
    opened = [
        await loop.create_connection(lambda: Connection(load), "127.0.0.1", plan.port) for _ in range(plan.connections)
    ]
    began, cpu_s = time.perf_counter(), time.process_time()
    for _, connection in opened:
        connection.send()
    async with asyncio.timeout(_SILENCE_S + plan.requests / 50):
        await load.done
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu_s
    for transport, _ in opened:
        transport.abort()
    took_ms = sorted(took * 1000 for took in load.took_s)
    p50_ms, p99_ms = took_ms[len(took_ms) // 2], took_ms[len(took_ms) * 99 // 100]
    last = load.last.decode()
    return LoadResult(
        requests=plan.requests, began_s=began, seconds=seconds, cpu_s=cpu_s, p50_ms=p50_ms, p99_ms=p99_ms, last=last
    )


def main() -> int:
    """Read the plan, carry it out, print the result; answers the exit code."""
    plan = LoadPlan(**json.load(sys.stdin))
    gc.disable()  # nothing here makes cycles, and a collection is not the server's fault
    try:
        result = uvloop.run(run(plan))
    except (LoadFailed, OSError, TimeoutError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(asdict(result)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
