"""Routes that change a job, delete it, or send it again."""

from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Request, Response

from api.answers import json_answer
from api.body import body_as
from api.desk import desk_of
from api.documentation import json_answers, json_body
from api.resubmission import retry as retry_job
from api.schemas.jobs import JobRecord
from api.services import services_of
from headrace.submission import Changes

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


@router.patch(
    "/{job_id}",
    summary="Change a job that waits",
    openapi_extra=json_body("Changes"),
    responses=json_answers({200: "As it is now"}, JobRecord, problems=(400, 404, 409, 410, 413, 415, 422, 429, 503)),
)
async def change(request: Request, job_id: str) -> Response:
    """Change tier, deadline, metadata or webhook of a job that no worker has taken."""
    seen = await desk_of(request).amend(job_id, await body_as(request, Changes))
    return json_answer(seen.document())


@router.delete(
    "/{job_id}",
    status_code=204,
    summary="Delete a job",
    responses={
        **json_answers(
            {202: "Its input and result are; its record stays for now"}, JobRecord, problems=(404, 410, 503)
        ),
        204: {"description": "Nothing of it is left"},
    },
)
async def delete(request: Request, job_id: str) -> Response:
    """Delete input, result, metadata and record at once; a job that has not ended is canceled first."""
    left = await desk_of(request).erase(job_id)
    if left is None:
        return Response(status_code=204)
    return json_answer(left.document(), 202, left.headers)


@router.post(
    "/{job_id}/retry",
    status_code=202,
    summary="Try a job again",
    responses=json_answers(
        {202: "The new job", 200: "It was tried again before; that job"},
        JobRecord,
        problems=(404, 409, 410, 422, 429, 503),
    ),
)
async def retry(
    request: Request,
    job_id: str,
    as_new: Annotated[bool, Query(description="Make another job, also if there is one already.")] = False,
) -> Response:
    """Make a new job of one that failed, expired or was canceled; that one stays as it ended."""
    seen = await retry_job(services_of(request), desk_of(request), job_id, is_new=as_new)
    headers = {"Location": f"/v1/jobs/{seen.job.id}"} | seen.headers
    if seen.found_by:
        headers[seen.found_by] = "true"
    return Response(
        orjson.dumps(seen.document()), 200 if seen.found_by else 202, headers, media_type="application/json"
    )
