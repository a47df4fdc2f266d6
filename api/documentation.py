"""The OpenAPI document: what FastAPI cannot see, because routes read bodies and write answers themselves."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.dead_letters import DeadLetterFilter
from api.headers import IDEMPOTENCY_KEY_PATTERN
from api.model_schemas import with_models
from api.problems import MEDIA_TYPE
from api.schemas.jobs import JobRecord
from api.schemas.problems import Problem
from api.scopes import scope_needed
from api.tenant_limits import LimitsChange
from headrace.api_keys import TENANT_PATTERN, KeyChange, KeyRequest, Scope
from headrace.endpoints import EndpointChange, EndpointRequest
from headrace.jobs import JobStatus
from headrace.submission import Changes, SubmitBody
from headrace.tiers import Tier
from headrace.trace import TRACEPARENT
from registry.served import ServedModel

#: Shapes that FastAPI does not see.
_BODIES = (
    *(SubmitBody, Changes, DeadLetterFilter, LimitsChange, KeyRequest, KeyChange, EndpointRequest, EndpointChange),
    Problem,
)
_REF = "#/components/schemas/{model}"


def json_body(shape: str) -> dict[str, Any]:
    """What a route says of a body of this shape that it reads itself."""
    schema = {"$ref": _REF.format(model=shape)}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _header(name: str, description: str, example: str, **schema: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": {"type": "string", **schema},
        "example": example,
    }


PREFER = _header(
    "Prefer",
    "RFC 7240: `wait=10` answers when the job ends or 10 seconds are over; `respond-async` at once. A submission with"
    " `wait=10, cancel-on-disconnect` is called off if its caller hangs up meanwhile.",
    "wait=10",
)
IDEMPOTENCY_KEY = _header(
    "Idempotency-Key",
    "The same key with the same body is the same job, however often it is sent.",
    "order-4711",
    pattern=IDEMPOTENCY_KEY_PATTERN,
)
TRACE = _header(
    TRACEPARENT,
    "W3C Trace Context: kept with the job and handed on with its record, its result and its webhook.",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
)

KNOWN = _header(
    "If-None-Match",
    "`ETag` of the record that you have: 304 if it is still so. With `Prefer: wait=10` any change is waited for, and"
    " answered as soon as it is seen.",
    'W/"5f1c63c0d9a1b2e4f7081d2c-9b3e01aa"',
)

WAITING: dict[str, Any] = {"parameters": [PREFER]}
WATCHING: dict[str, Any] = {"parameters": [PREFER, KNOWN]}
SUBMIT_BODY: dict[str, Any] = {
    "parameters": [PREFER, IDEMPOTENCY_KEY, TRACE],
    **json_body("SubmitBody"),
}

PUT_BODY: dict[str, Any] = {"parameters": [PREFER, TRACE], **json_body("SubmitBody")}

_MANY = {"type": "array", "items": {"$ref": _REF.format(model="SubmitBody")}, "minItems": 1}
_ATOMIC = {
    "name": "atomic",
    "in": "query",
    "required": False,
    "description": "All of the jobs or none.",
    "schema": {"type": "boolean", "default": False},
}
BULK_BODY: dict[str, Any] = {
    "parameters": [_ATOMIC, IDEMPOTENCY_KEY],
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": _MANY},
            "application/x-ndjson": {"schema": {"type": "string", "description": "A submission a line."}},
        },
    },
}


def _query(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


_FILTERS = [
    _query("model", "Only of this model: `name` or `name@3`.", type="string"),
    _query("tier", "Only of this tier.", type="string", enum=[*Tier]),
    _query("created_after", "Only those that came later: RFC 3339.", type="string", format="date-time"),
    _query("created_before", "Only those that came earlier: RFC 3339.", type="string", format="date-time"),
    _query("tenant", "Another's than the caller's: keys of scope `admin`.", type="string", pattern=TENANT_PATTERN),
    _query("cursor", "`next` of the page before.", type="string"),
]
#: What marks a route that takes parameters `metadata.name=value`, as many as one likes: OpenAPI has no words for them.
METADATA_FILTERS = "x-metadata-filters"
_METADATA = {
    METADATA_FILTERS: "metadata.name=value: only those that were submitted with it; may be given for many names"
}
LISTING: dict[str, Any] = {
    "parameters": [_query("status", "Only in this state.", type="string", enum=[*JobStatus]), *_FILTERS],
    **_METADATA,
}
CANCELLING: dict[str, Any] = {
    **_METADATA,
    "parameters": [
        _query("status", "Only in this state.", type="string", enum=[JobStatus.QUEUED, JobStatus.RUNNING]),
        *_FILTERS,
        _query("dry_run", "Only count them, whatever `confirm` says.", type="boolean", default=False),
        _query(
            "confirm",
            "So many jobs may be canceled; if more are meant, none is. Without it they are only counted.",
            type="integer",
            minimum=0,
            maximum=10_000,
        ),
    ],
}


#: What an answer may be besides JSON.
CSV: dict[str, Any] = {"text/csv": {"schema": {"type": "string", "description": "The same as a table."}}}


def json_answers(
    answers: Mapping[int, str], shape: type[BaseModel], *, problems: Sequence[int] = ()
) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route: JSON of one shape, and problems by their status."""
    responses = problem_answers(*problems)
    for status, text in answers.items():
        responses[status] = {"description": text, "model": shape}
    return responses


def problem_answers(*problems: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that has nothing to say but problems, by their status."""
    schema = {"schema": {"$ref": _REF.format(model="Problem")}}
    problem = {"content": {MEDIA_TYPE: schema}}
    responses: dict[int | str, dict[str, Any]] = {
        status: {"description": HTTPStatus(status).phrase, **problem} for status in problems
    }
    responses["default"] = {"description": "Any other error", **problem}
    return responses


def install(app: FastAPI, *, models: Callable[[], Iterable[ServedModel]]) -> None:
    """Make `app` describe itself with the schemas that FastAPI does not see, and with those of the released models."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return with_models(app.openapi_schema, models())

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _document(app: FastAPI) -> dict[str, Any]:
    for route in app.routes:
        if isinstance(route, APIRoute):
            route.operation_id = "_".join(str(part).replace(" ", "_") for part in (*route.tags[:1], route.name))
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    _, extra = models_json_schema([(shape, "validation") for shape in _BODIES], ref_template=_REF)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(extra["$defs"])
    document["components"]["securitySchemes"] = {_SECURITY: _SCHEME}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _add_security(operation, scope_needed(method.upper(), path))
            _refuse(operation, {422: "A parameter is wrong, unknown, or given twice"})
    _link(document["paths"])
    return document


_SECURITY = "key"
_SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "sk_…",
    "description": "An API key. Where none was ever made, none is needed.",
}
#: What the gate may answer before a route is reached.
_REFUSALS = {
    401: "No API key, or one that opens nothing",
    403: "The API key does not allow this",
    429: "The tenant asks more often than it may, or has as much open as it may",
}


def _add_security(operation: dict[str, Any], scope: Scope | None) -> None:
    if scope is None:
        return
    operation["security"] = [{_SECURITY: []}, {}]
    operation["description"] = f"{operation.get('description', '')}\n\nScope: `{scope}`."
    _refuse(operation, _REFUSALS)


def _refuse(operation: dict[str, Any], refusals: Mapping[int, str]) -> None:
    """Say of an operation that it may be answered so, where it says nothing of that itself."""
    content = {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}}
    for status, text in refusals.items():
        operation["responses"].setdefault(str(status), {"description": text, "content": content})


def _link(paths: Mapping[str, Any]) -> None:
    """Say of each answer that is the record of a new job where one can go on from it."""
    links = {
        operation["operationId"]: {
            "operationId": operation["operationId"],
            "parameters": {"job_id": "$response.body#/id"},
        }
        for path, operations in paths.items()
        for method, operation in operations.items()
        if "{job_id}" in path and method != "put"  # which takes no ids of ours
    }
    record = {"$ref": _REF.format(model=JobRecord.__name__)}
    makers = (operations[method] for operations in paths.values() for method in ("post", "put") if method in operations)
    for operation in makers:
        for answer in operation["responses"].values():
            if answer.get("content", {}).get("application/json", {}).get("schema") == record:
                answer["links"] = links
