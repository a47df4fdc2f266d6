"""The short way to a route: for requests that need nothing of the framework between the socket and the handler.

Most of what a request costs in FastAPI is looking for its route, solving dependencies and keeping exit stacks, and a
route of a fixed path that takes nothing but the request uses none of it. FastAPI still has these routes: for the
OpenAPI document, and for what goes wrong before a handler is reached.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import cast

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from api.problems import problem_response, route_problem
from api.queries import Queries
from headrace.errors import HeadraceError

Handler = Callable[[Request], Awaitable[Response]]


class Express:
    """ASGI middleware that answers the routes that it can by itself, as FastAPI would; all others go on.

    A query that is no good is refused here, for all routes.

    Args:
        app: where all others go.
        routes: all routes.
    """

    def __init__(self, app: ASGIApp, *, routes: Iterable[BaseRoute]) -> None:
        self._app = app
        routes = list(routes)
        self._queries = Queries(routes)
        plain = [route for route in routes if isinstance(route, APIRoute) and is_plain(route)]
        self._routes = {(method, route.path): route for route in plain for method in route.methods or ()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        is_http = scope["type"] == "http"
        if is_http and scope["query_string"] and (refusal := self._queries.refusal_of(scope)):
            await problem_response(refusal, Request(scope, receive, send))(scope, receive, send)
            return
        route = self._routes.get((scope["method"], scope["path"])) if is_http else None
        if route is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = route
        request = Request(scope, receive, send)
        try:
            response = await cast("Handler", route.endpoint)(request)
        except HeadraceError as error:
            response = route_problem(error, request)
        await response(scope, receive, send)


def is_plain(route: APIRoute) -> bool:
    """Tell whether a route has a fixed path and a coroutine that takes nothing but the request."""
    needs = inspect.signature(route.endpoint).parameters.values()
    takes_request_only = [need.annotation for need in needs] == [Request]
    is_coroutine = inspect.iscoroutinefunction(route.endpoint)
    return is_coroutine and takes_request_only and "{" not in route.path and not route.dependencies
