"""Routes for whoever runs this process, and the explanations that problems refer to."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from api.answers import json_answer
from api.documentation import json_answers
from api.problems import problem_type
from api.schemas.fleet import Health
from api.schemas.problems import ProblemKind
from api.services import services_of
from headrace.errors import HeadraceError, NotFound, Unavailable
from headrace.redis_op import RedisOp

router = APIRouter()


def _kinds(error: type[HeadraceError]) -> list[type[HeadraceError]]:
    return [error, *(kind for child in error.__subclasses__() for kind in _kinds(child))]


#: Kinds of problems as their addresses end.
_KINDS = {problem_type(error.code).rpartition("/")[2]: error for error in _kinds(HeadraceError)}


@router.get("/livez", tags=["health"], summary="Is the process alive", responses=json_answers({200: "Yes"}, Health))
async def livez() -> Response:
    """Answer whenever the process can: it needs a restart only if this is silent."""
    return json_answer({"status": "alive"})


@router.get(
    "/readyz",
    tags=["health"],
    summary="Can it serve",
    responses=json_answers({200: "Yes"}, Health, problems=(503,)),
)
async def readyz(request: Request) -> Response:
    """Answer 200 if jobs can be accepted and waited for, else say all reasons why not."""
    if reasons := await _reasons(request):
        raise Unavailable(f"not ready: {'; '.join(reasons)}", retry_after_s=1)
    return json_answer({"status": "ready"})


async def _reasons(request: Request) -> list[str]:
    services = services_of(request)
    reasons = []
    try:
        await services.mux.run(RedisOp(bytes, ("PING",)))
    except HeadraceError as error:
        reasons.append(error.detail)
    try:
        services.barrier.require()
    except HeadraceError as error:
        reasons.append(error.detail)
    if not services.feed.is_connected:
        reasons.append("the ends of jobs are not heard: the event feed has no connection to Redis")
    if services.catalog.problem:
        reasons.append(services.catalog.problem)
    return reasons


@router.get(
    "/problems/{kind}",
    tags=["problems"],
    summary="What a kind of problem means",
    responses=json_answers({200: "Its meaning"}, ProblemKind, problems=(404,)),
)
async def problem_kind(kind: Annotated[str, Path(json_schema_extra={"enum": list(_KINDS)})]) -> Response:
    """Explain the `type` of a problem document."""
    error = _KINDS.get(kind)
    if error is None:
        raise NotFound(f"no problem is called '{kind[:80]}'")
    document = {
        "type": problem_type(error.code),
        "title": error.title,
        "status": error.status,
        "code": error.code,
        "retryable": error.retryable,
        "meaning": (error.__doc__ or "").strip(),
    }
    return json_answer(document)
