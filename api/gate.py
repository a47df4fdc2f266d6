"""The gate before all routes: who asks, and whether they may. Plain ASGI, like `Edge`."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.callers import Caller
from api.key_ring import KeyRing
from api.openings import Openings
from api.problems import problem_response
from api.rates import Rates
from api.scopes import challenge, scope_needed
from headrace.api_keys import Scope as KeyScope
from headrace.errors import Forbidden, HeadraceError, Unauthenticated

_HEADER = b"authorization"
_SCHEME = "bearer "


class Gate:
    """ASGI middleware that lets nobody pass whose key does not allow what is asked.

    Args:
        app: what lies behind it.
        ring: the keys.
        rates: how often tenants and keys may ask.
        openings: how much they have open at once.
    """

    def __init__(self, app: ASGIApp, *, ring: KeyRing, rates: Rates, openings: Openings) -> None:
        self._app = app
        self._ring = ring
        self._rates = rates
        self._openings = openings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        needed = scope_needed(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if needed is None:
            await self._app(scope, receive, send)
            return
        try:
            scope["headrace.caller"] = caller = await self._admit(scope, needed)
            self._openings.enter(caller.tenant)
        except HeadraceError as error:
            await problem_response(error, Request(scope), challenge(error, needed))(scope, receive, send)
            return
        try:
            await self._serve(caller, scope, receive, send)
        finally:
            self._openings.leave(caller.tenant)

    async def _serve(self, caller: Caller, scope: Scope, receive: Receive, send: Send) -> None:
        counted = None
        try:
            counted = await self._rates.count(caller)
            if counted is not None and (refusal := counted.refusal()):
                raise refusal
        except HeadraceError as error:
            headers = counted.headers() if counted else {}
            await problem_response(error, Request(scope), headers)(scope, receive, send)
            return
        await self._app(scope, receive, send if counted is None else _adding(send, counted.headers()))

    async def _admit(self, scope: Scope, needed: KeyScope) -> Caller:
        text = _shown_key(scope)
        if not text:
            if await self._ring.is_demanded():
                raise Unauthenticated("show an API key: Authorization: Bearer sk_…")
            return Caller()
        key = await self._ring.find(text)
        caller = Caller(key.tenant, key.id, key.scopes)
        if not caller.may(needed):
            raise Forbidden(f"the API key {key.id} allows {', '.join(key.scopes)}; this needs {needed}")
        return caller


def _shown_key(scope: Scope) -> str:
    """The bearer token of a request (RFC 6750), empty if there is none: other schemes are a proxy's affair."""
    for name, value in scope["headers"]:
        if name == _HEADER and value[: len(_SCHEME)].lower() == _SCHEME.encode():
            return str(value[len(_SCHEME) :].decode("latin-1").strip()) or "?"
    return ""


def _adding(send: Send, headers: Mapping[str, str]) -> Send:
    """Add these headers to an answer."""
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *raw]
        await send(message)

    return send_with_headers
