"""The route that calls off many jobs at once."""

import orjson
from fastapi import APIRouter, Request, Response

from api.calling_off import CallingOff, CancelFilter
from api.desk import desk_named
from api.documentation import CANCELLING, json_answers
from api.listing import Cursor, read_metadata
from api.schemas.jobs import CalledOffJobs
from headrace.reading import read_shape

_FILTERS = frozenset(CancelFilter.model_fields) - {"metadata"}

router = APIRouter(prefix="/v1", tags=["jobs"])


@router.post(
    "/jobs:cancel",
    summary="Cancel many jobs",
    openapi_extra=CANCELLING,
    responses=json_answers({200: "How many there were, and what became of them"}, CalledOffJobs, problems=(409, 503)),
)
async def cancel_many(request: Request) -> Response:
    """Cancel the open jobs that the filters mean, if they are no more than `confirm`; without it only count them."""
    query = dict(request.query_params)
    metadata, cursor = read_metadata(query), query.get("cursor", "")
    wanted = read_shape({name: query[name] for name in _FILTERS if name in query}, CancelFilter, "/query")
    wanted = wanted.model_copy(update={"metadata": metadata})
    desk = desk_named(request, wanted.tenant)
    done = await CallingOff(desk).call_off(wanted, cursor=Cursor.parse(cursor) if cursor else None)
    answer = {**done._asdict(), "next": done.next and str(done.next)}
    return Response(orjson.dumps(answer), media_type="application/json")
