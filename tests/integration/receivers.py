"""Receivers of webhooks on this host: one that takes events, and ones that misbehave."""

import threading
from collections import defaultdict
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from headrace.webhooks import event_id_of


class Heard(NamedTuple):
    """A request as a receiver got it; names of headers in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Senders that die are part of the tests."""


class Receiver:
    """Takes events on a port of its own and answers with `status`; after `silence`, not at all."""

    def __init__(self, port: int = 0, *, host: str = "127.0.0.1") -> None:
        self.heard: list[Heard] = []
        self._by_id = defaultdict[str, list[Heard]](list)
        self.status = 204
        #: Set while requests are answered; while it is not, they hang.
        self.answers = threading.Event()
        self.answers.set()
        self._server = _Server((host, port), self._handler())
        self.port: int = self._server.server_address[1]
        self.url = f"http://{host}:{self.port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.note(Heard(self.path, headers, body))
                receiver.answers.wait(30)
                self.send_response(receiver.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler

    def note(self, heard: Heard) -> None:
        """A request has come."""
        self._by_id[heard.headers.get("webhook-id", "")].append(heard)
        self.heard.append(heard)

    def of(self, delivery_id: str) -> list[Heard]:
        """The attempts to tell one end."""
        return list(self._by_id.get(event_id_of(delivery_id), ()))

    def close(self) -> None:
        """Stop listening."""
        self.answers.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
