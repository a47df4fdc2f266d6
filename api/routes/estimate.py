"""The route that says what would become of a submission."""

from fastapi import APIRouter, Request, Response

from api.answers import json_answer
from api.body import read_json_body
from api.desk import desk_of
from api.documentation import json_answers, json_body
from api.headers import header_fields
from api.problems import problem_document
from api.schemas.stories import EstimateRecord

router = APIRouter(prefix="/v1", tags=["jobs"])


@router.post(
    "/estimate",
    summary="Ask what would become of a job",
    openapi_extra=json_body("SubmitBody"),
    responses=json_answers(
        {200: "What would be true of it now"}, EstimateRecord, problems=(400, 404, 413, 415, 422, 503)
    ),
)
async def estimate(request: Request) -> Response:
    """Check a submission and say where it would stand and when it would end; nothing is stored."""
    desk, fields = desk_of(request), header_fields(request)
    raw = await read_json_body(request, fields, max_bytes=desk.settings.max_body_bytes)
    foreseen = await desk.estimate(raw)
    path, request_id, refusal = request.url.path, request.state.request_id, foreseen.refusal
    problem = None if refusal is None else problem_document(refusal, instance=path, request_id=request_id)
    return json_answer(foreseen.document(problem))
