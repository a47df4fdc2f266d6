"""Receives webhooks as anybody's server would: what the secret did not sign is refused, what it did is noted."""

import threading
from collections.abc import Callable, Mapping
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from standardwebhooks import Webhook, WebhookVerificationError

_STOP_LATENCY_S = 0.05


class Receiver:
    """An HTTP server on loopback that runs while the context lasts.

    Args:
        secret: what the sender signs with, `whsec_…`.
    """

    def __init__(self, *, secret: str) -> None:
        self._webhook = Webhook(secret)
        self._changed = threading.Condition()
        self._deliveries: list[str] = []
        self._refused = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self._accept))

    @property
    def url(self) -> str:
        """Where it wants to be told."""
        return f"http://127.0.0.1:{self._server.server_port}/jobs"

    @property
    def deliveries(self) -> list[str]:
        """The job that each accepted webhook told of, in the order of arrival."""
        with self._changed:
            return list(self._deliveries)

    @property
    def refused(self) -> int:
        """Webhooks whose signature was wrong."""
        with self._changed:
            return self._refused

    def wait_for(self, job_ids: set[str], timeout_s: float) -> None:
        """Wait until it was told of all these jobs; not longer than `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: job_ids <= set(self._deliveries), timeout_s)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(_STOP_LATENCY_S,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _accept(self, headers: Mapping[str, str], body: bytes) -> bool:
        try:
            event: Any = self._webhook.verify(body, dict(headers))
        except WebhookVerificationError:
            with self._changed:
                self._refused += 1
            return False
        with self._changed:
            self._deliveries.append(event["data"]["job"]["id"])
            self._changed.notify_all()
        return True


class _Handler(BaseHTTPRequestHandler):
    """Answers each POST by what `accept` says of it."""

    protocol_version = "HTTP/1.1"

    def __init__(self, accept: Callable[[Mapping[str, str], bytes], bool], *arguments: Any) -> None:
        self._accept = accept
        super().__init__(*arguments)

    def do_POST(self) -> None:
        """Read, judge, answer."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204 if self._accept(dict(self.headers), body) else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""
