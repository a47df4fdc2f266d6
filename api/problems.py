"""Every error as a problem document (RFC 9457), whoever raised it."""

import math
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from api.scopes import challenge
from headrace.api_keys import Scope
from headrace.errors import (
    FieldError,
    HeadraceError,
    InternalError,
    MethodNotAllowed,
    NotFound,
    RequestError,
    Unavailable,
)
from headrace.reading import invalid_fields, pointer_to, worded

MEDIA_TYPE = "application/problem+json"

#: Said with every retryable problem that does not know better.
DEFAULT_RETRY_AFTER_S = 1.0


def problem_document(error: HeadraceError, *, instance: str, request_id: str) -> dict[str, Any]:
    """The members of RFC 9457 and ours: `code`, `request_id`, `retryable`, `retry_after_ms`, `errors`."""
    document: dict[str, Any] = {
        "type": problem_type(error.code),
        "title": error.title,
        "status": error.status,
        "code": error.code,
        "detail": error.detail,
        "instance": instance,
        "request_id": request_id,
        "retryable": error.retryable,
    }
    if (retry_after_s := _retry_after_s(error)) is not None:
        document["retry_after_ms"] = round(retry_after_s * 1000)
    if error.fields:
        document["errors"] = [
            {"pointer": field.pointer, "code": field.code, "detail": field.detail} for field in error.fields
        ]
    return document


def problem_type(code: str) -> str:
    """The URI reference that names a kind of problem; this API serves its explanation there."""
    return f"/problems/{code.replace('_', '-')}"


def problem_response(error: HeadraceError, request: Request, headers: dict[str, str] | None = None) -> Response:
    """The answer to a request that failed."""
    headers = {**(headers or {}), **retry_headers(error)}
    document = problem_document(error, instance=request.url.path, request_id=request.state.request_id)
    return Response(orjson.dumps(document), error.status, headers, media_type=MEDIA_TYPE)


def route_problem(error: HeadraceError, request: Request) -> Response:
    """The answer to a request that a route refused."""
    # The gate has seen to what a key needs to come here; a route itself refuses only who would have to be an admin.
    return problem_response(error, request, challenge(error, Scope.ADMIN))


def retry_headers(error: HeadraceError) -> dict[str, str]:
    """`Retry-After`, if it is worth coming back."""
    retry_after_s = _retry_after_s(error)
    return {} if retry_after_s is None else {"Retry-After": str(max(1, math.ceil(retry_after_s)))}


def _retry_after_s(error: HeadraceError) -> float | None:
    if not error.retryable:
        return None
    return DEFAULT_RETRY_AFTER_S if error.retry_after_s is None else error.retry_after_s


def install(app: FastAPI) -> None:
    """Make `app` answer each error that it can foresee with a problem document; `Edge` answers the others."""
    app.add_exception_handler(HeadraceError, _on_headrace_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_invalid_parameter)


def _on_headrace_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HeadraceError)
    return route_problem(error, request)


def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path, method = request.url.path, request.method
    if error.status_code == HTTPStatus.NOT_FOUND:
        return problem_response(NotFound(f"there is no {path}; /docs lists what there is"), request)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(_allowed_methods(request))
        wrong = MethodNotAllowed(f"{method} is not possible on {path}; use {allowed}")
        return problem_response(wrong, request, {"Allow": allowed})
    known: dict[bool, type[HeadraceError]] = {True: RequestError, False: Unavailable}
    kind = known[error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR]
    return problem_response(kind(str(error.detail)), request)


def _allowed_methods(request: Request) -> list[str]:
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    here = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted({method for route in here for method in route.methods or ()})


def _on_invalid_parameter(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    fields = [FieldError(pointer_to(item["loc"]), worded(item["msg"]), item["type"]) for item in error.errors()]
    return problem_response(invalid_fields(fields), request)


def internal_error(request_id: str) -> InternalError:
    """What a caller learns of a fault of ours: nothing but how to find it in the log."""
    return InternalError(f"the request failed inside the API; its log has more under {request_id}")
