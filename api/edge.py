"""What wraps each request: an id for it, its count, and a problem document for a fault that nobody foresaw.

Plain ASGI: a `BaseHTTPMiddleware` would cost more than the whole route.
"""

import logging
import os
import re
import time

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.metrics import RequestMeter
from api.problems import internal_error, problem_response
from headrace.failpoints import failpoint

log = logging.getLogger("headrace.api")

_HEADER = b"x-request-id"
#: A caller's own id is kept if it can do no harm in a log or a header.
_USABLE = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class Edge:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, *, meter: RequestMeter) -> None:
        self._app = app
        self._meter = meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "HEAD":  # as a GET, of whose answer the server sends no body
            scope = {**scope, "method": "GET"}
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id.decode()
        status, began = 0, time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (_HEADER, request_id)]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
            failpoint("api.answered")
        except Exception:
            name = request_id.decode()
            log.exception("request %s failed", name, extra={"request": name})
            if status:
                raise
            problem = internal_error(request_id.decode())
            await problem_response(problem, Request(scope))(scope, receive, send_with_id)
        finally:
            self._meter.note(scope, status, time.perf_counter() - began)


def _request_id(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == _HEADER and _USABLE.fullmatch(value):
            return bytes(value)
    return os.urandom(8).hex().encode()
