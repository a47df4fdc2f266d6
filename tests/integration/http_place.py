"""A small HTTP server that stands for whoever runs workers elsewhere; what it keeps is in its subclasses."""

import json
import socketserver
import threading
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit


class Question(NamedTuple):
    """A request."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    document: Any


class Answer(NamedTuple):
    """Status and document; bytes are sent as they are."""

    status: int
    document: Any = None


class HttpPlace:
    """Answers one request at a time, so each is one step.

    Args:
        socket: path of a Unix socket to listen at, instead of a port of this machine.
    """

    def __init__(self, socket: Path | None = None) -> None:
        self.questions: list[Question] = []
        #: Answered to everything while set.
        self.fault: Answer | None = None
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                url = urlsplit(self.path)
                document = json.loads(body) if body else None
                headers = {name.lower(): value for name, value in self.headers.items()}
                question = Question(self.command, url.path, dict(parse_qsl(url.query)), headers, document)
                owner.questions.append(question)
                status, reply = owner.fault or owner.answer(question)
                raw = reply if isinstance(reply, bytes) else b"" if reply is None else json.dumps(reply).encode()
                self.send_response(status)
                kind = "application/octet-stream" if isinstance(reply, bytes) else "application/json"
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            # The names are the standard library's.
            do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

            def handle(self) -> None:
                # Whoever asked need not read to the end.
                with suppress(ConnectionError):
                    super().handle()

            def address_string(self) -> str:
                return "somebody"

        if socket is None:
            self._server: socketserver.BaseServer = HTTPServer(("127.0.0.1", 0), Handler)
            self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        else:
            self._server = socketserver.UnixStreamServer(str(socket), Handler)
            self.url = "http://docker"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def answer(self, question: Question) -> Answer:
        raise NotImplementedError

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
