"""Routes about dead letters."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api.answers import json_answer
from api.body import body_as
from api.dead_letters import DeadLetterFilter, DeadLetters
from api.desk import desk_of
from api.documentation import json_answers, json_body
from api.schemas.dead_letters import DeadLetterList, DeadLetterRecord, RedrivenList
from api.schemas.jobs import JobRecord
from api.services import services_of
from headrace.jobs import Cause

router = APIRouter(prefix="/v1", tags=["dead letters"])


@router.get(
    "/dead-letters",
    summary="List jobs that were given up",
    responses=json_answers({200: "Newest first"}, DeadLetterList, problems=(422, 503)),
)
async def list_dead_letters(
    request: Request,
    model: Annotated[str | None, Query(description="Only of this model: `name` or `name@3`.")] = None,
    cause: Annotated[Cause | None, Query(description="Only those given up for this.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="How many at most.")] = 50,
    before: Annotated[int | None, Query(ge=0, description="`next` of the page before.")] = None,
) -> Response:
    """List jobs whose failure was neither their input's fault nor the model's own word: crashes, time-outs, memory."""
    page = await _letters(request).page(DeadLetterFilter(model=model, cause=cause, limit=limit), before_us=before)
    return json_answer({"dead_letters": [seen.document() for seen in page.letters], "next": page.next_us})


@router.get(
    "/dead-letters/{job_id}",
    summary="Look at a job that was given up, with its input",
    responses=json_answers({200: "The job"}, DeadLetterRecord, problems=(404, 409, 410, 503)),
)
async def inspect(request: Request, job_id: str) -> Response:
    """Show a failed job's record with the input that was submitted."""
    return json_answer(await _letters(request).inspect(job_id))


@router.post(
    "/dead-letters/{job_id}/redrive",
    status_code=202,
    summary="Send a job that was given up again",
    responses=json_answers(
        {202: "The new job", 200: "It was sent again before; that job"},
        JobRecord,
        problems=(404, 409, 410, 429, 503),
    ),
)
async def redrive(request: Request, job_id: str) -> Response:
    """Make a new job of a failed one's input, version and tier. The failed one stays as it is, off the list."""
    redriven = await _letters(request).redrive(job_id)
    headers = {"Location": f"/v1/jobs/{redriven.job.job.id}"} | redriven.job.headers
    return json_answer(redriven.job.document(), 200 if redriven.job.found_by else 202, headers)


@router.post(
    "/dead-letters:redrive",
    summary="Send jobs that were given up again",
    openapi_extra=json_body("DeadLetterFilter"),
    responses=json_answers({200: "What became of them"}, RedrivenList, problems=(400, 413, 415, 422, 429, 503)),
)
async def redrive_all(request: Request) -> Response:
    """Make new jobs of all that the filter means, at most `limit`; asked again, it goes on with the rest."""
    redriven = await _letters(request).redrive_all(await body_as(request, DeadLetterFilter))
    return json_answer({"redriven": [{"id": one.letter.id, "job": one.job.job.id} for one in redriven]})


def _letters(request: Request) -> DeadLetters:
    return DeadLetters(services=services_of(request), desk=desk_of(request))
