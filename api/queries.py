"""Queries: a parameter that is given twice, or that a route does not know, is refused for all routes alike.

FastAPI would take the last of several and say nothing, and pass over what it does not know.
"""

from collections.abc import Iterable
from typing import NamedTuple, Self
from urllib.parse import parse_qsl

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from api.documentation import METADATA_FILTERS
from headrace.errors import FieldError, InvalidInput
from headrace.reading import invalid_fields

_METADATA = "metadata."
_PROBLEMS_SHOWN = 20


class Parameters(NamedTuple):
    """What a route takes in its query."""

    names: frozenset[str]
    #: Whether it takes pairs `metadata.name=value` besides.
    takes_metadata: bool

    @classmethod
    def of(cls, route: APIRoute) -> Self:
        """Those that its function takes, and those that its document has."""
        extra = route.openapi_extra or {}
        written = {each["name"] for each in extra.get("parameters", ()) if each["in"] == "query"}
        return cls(
            frozenset({field.alias for field in route.dependant.query_params} | written), METADATA_FILTERS in extra
        )

    def refusal_of(self, names: Iterable[str]) -> InvalidInput | None:
        """Why a query with these names is refused; None if it is not."""
        unknown = [name for name in names if not self._takes(name)]
        if not unknown:
            return None
        known = [*sorted(self.names), *(["metadata.name"] if self.takes_metadata else [])]
        way_out = f"known are {', '.join(known)}" if known else "there are none here"
        return _refusal(unknown[:_PROBLEMS_SHOWN], f"is not known; {way_out}", "unknown_parameter")

    def _takes(self, name: str) -> bool:
        return name in self.names or (self.takes_metadata and name.startswith(_METADATA))


class Queries:
    """What the routes of the API take.

    Args:
        routes: all routes; those outside `/v1/`, and what Prometheus asks, are left alone.
    """

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._routes = [
            (route, Parameters.of(route))
            for route in routes
            if isinstance(route, APIRoute) and route.path.startswith("/v1/") and "/metrics/" not in route.path
        ]

    def refusal_of(self, scope: Scope) -> InvalidInput | None:
        """What is wrong with the query of a request; None if nothing is, or no route answers it."""
        names = [name for name, _ in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)]
        if repeated := first_repeated(names):
            return _refusal([repeated], "is given more than once; no parameter takes several values", "repeated")
        answering = (known for route, known in self._routes if route.matches(scope)[0] is Match.FULL)
        return next((known.refusal_of(names) for known in answering), None)


def first_repeated(names: Iterable[str]) -> str:
    """The first name that comes a second time; empty if none does."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return ""


def _refusal(names: Iterable[str], problem: str, code: str) -> InvalidInput:
    return invalid_fields([FieldError(f"/query/{name[:80]}", problem, code) for name in names])
