"""A receiver of webhooks that costs next to nothing: `python -m bench.event_receiver PORT`, in a process of its own.

Every POST is answered with 204. GET answers `{"<webhook-id>": <Unix seconds at which it came first>, …}` and forgets.
"""

import asyncio
import json
import sys
import time
import urllib.request

_NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


class _Connection(asyncio.Protocol):
    """Reads requests with a content-length, one after the other."""

    def __init__(self, heard: dict[str, float]) -> None:
        self._heard = heard
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember whom to answer."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole."""
        self._unread += data
        while (split := self._unread.find(b"\r\n\r\n")) >= 0:
            head = self._unread[:split].lower()
            end = split + 4 + int(_field(head, b"content-length") or 0)
            if len(self._unread) < end:
                return
            self._unread = self._unread[end:]
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        if head.startswith(b"post"):
            self._heard.setdefault(_field(head, b"webhook-id").decode(), time.time())
            self._transport.write(_NO_CONTENT)
            return
        body = json.dumps(self._heard).encode()
        self._heard.clear()
        self._transport.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)


def _field(head: bytes, name: bytes) -> bytes:
    return head.partition(b"\r\n" + name + b":")[2].partition(b"\r\n")[0].strip()


def heard(port: int) -> dict[str, float]:
    """What came since the last time, and when."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
        found: dict[str, float] = json.load(answer)
    return found


async def _serve(port: int) -> None:
    found: dict[str, float] = {}
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(found), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
