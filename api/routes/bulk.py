"""The route that takes many jobs at once."""

from typing import Any

from fastapi import APIRouter, Request, Response

from api.answers import json_answer
from api.bulk import BulkDesk, read_bulk_body
from api.desk import desk_of
from api.documentation import BULK_BODY, json_answers
from api.headers import header_fields, read_idempotency_key
from api.problems import problem_document
from api.schemas.jobs import BulkAnswer
from headrace.errors import FieldError, HeadraceError
from headrace.failpoints import failpoint
from headrace.reading import invalid_fields

router = APIRouter(prefix="/v1", tags=["jobs"])


@router.post(
    "/jobs:bulk",
    summary="Submit many jobs",
    openapi_extra=BULK_BODY,
    responses=json_answers(
        {200: "What became of each, in their order"}, BulkAnswer, problems=(400, 413, 415, 422, 429, 503)
    ),
)
async def submit_many(request: Request) -> Response:
    """Check and store each job by itself; with `atomic=true` all of them or none."""
    desk, fields = desk_of(request), header_fields(request)
    settings, is_whole, key = desk.settings, _is_whole(request), read_idempotency_key(fields)
    documents = await read_bulk_body(
        request, fields, max_bytes=settings.max_bulk_bytes, max_jobs=settings.max_bulk_jobs
    )
    failpoint("api.bulk_read")
    bulk = BulkDesk(desk)
    items = await (bulk.submit_whole if is_whole else bulk.submit)(documents, idempotency_key=key)
    failpoint("api.bulk_stored")
    refused = len([item for item in items if item.error])
    known = len([item for item in items if item.was_known and not item.error])
    answer = {
        "accepted": len(items) - refused - known,
        "known": known,
        "refused": refused,
        "jobs": [
            {"id": job_id, "known": was_known, "error": None} if error is None else _refused(error, request)
            for job_id, was_known, error in items
        ],
    }
    return json_answer(answer)


def _is_whole(request: Request) -> bool:
    text = request.query_params.get("atomic", "false")
    if text not in ("true", "false"):
        raise invalid_fields([FieldError("/query/atomic", "must be true or false", "wrong_type")])
    return text == "true"


def _refused(error: HeadraceError, request: Request) -> dict[str, Any]:
    problem = problem_document(error, instance=request.url.path, request_id=request.state.request_id)
    return {"id": None, "known": False, "error": problem}
