"""A receiver of webhooks on this machine, for whoever writes one: shows what arrives and verifies its signature."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import orjson

from headrace.errors import SettingsError
from headrace.webhook_signature import problem_of

_MOST_BYTES = 1 << 20


class Arrival(NamedTuple):
    """An event as it came."""

    event_id: str
    #: Why it is not believed; empty if its signature is right.
    problem: str
    #: The body; None if it is no JSON.
    event: Any
    #: What the receiver answered that it was forwarded to; empty if it was not.
    forwarded: str = ""


def listener(port: int, *, keys: Callable[[], Sequence[bytes]], show: Callable[[Arrival], None]) -> ThreadingHTTPServer:
    """A server on 127.0.0.1 that answers 204 to what is signed and 401 to the rest; `serve_forever` runs it.

    Args:
        port: 0 takes a free one.
        keys: of the secrets that may sign now.
        show: told of each request, in the thread that serves it.

    Raises:
        SettingsError: if the port is taken.
    """
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), partial(_Handler, keys, show))
    except OSError as error:
        raise SettingsError(f"port {port} cannot be listened to ({error.strerror}); name another by --port") from error


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def __init__(self, keys: Callable[[], Sequence[bytes]], show: Callable[[Arrival], None], *arguments: Any) -> None:
        self._keys, self._show = keys, show
        super().__init__(*arguments)

    def do_POST(self) -> None:
        """Read, judge, show, answer."""
        length = self.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > _MOST_BYTES:
            self._answer(413)
            return
        body = self.rfile.read(int(length))
        headers = {name.lower(): value for name, value in self.headers.items()}
        problem = problem_of(self._keys(), headers, body, now_s=time.time())
        try:
            event = orjson.loads(body)
        except orjson.JSONDecodeError:
            event = None
        self._show(Arrival(headers.get("webhook-id", ""), problem, event))
        self._answer(401 if problem else 204)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing: `show` does."""
