"""Routes about jobs."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from api.answers import json_answer
from api.body import read_json_body
from api.caching import partial, with_tag
from api.change_wait import see_changed
from api.desk import JobDesk, desk_named, desk_of
from api.documentation import LISTING, PUT_BODY, SUBMIT_BODY, WAITING, WATCHING, json_answers
from api.hangup import submit_attended
from api.headers import Preference, header_fields, read_idempotency_key, read_preference
from api.listing import Cursor, JobFilter, Listing, read_metadata
from api.record_tags import KnownRecord, RecordTag
from api.records import timeline_document
from api.schemas.jobs import JobList, JobRecord
from api.schemas.stories import Timeline
from api.services import services_of
from api.tenant_jobs import Seen
from headrace.errors import FieldError, JobEnded, JobExpired, JobNotSucceeded
from headrace.failpoints import failpoint
from headrace.ids import CHOSEN_PATTERN, check_chosen_id
from headrace.jobs import JobStatus
from headrace.reading import invalid_fields, read_shape
from headrace.trace import TRACEPARENT, read_traceparent

_FILTERS = frozenset(JobFilter.model_fields) - {"metadata"}

_ENDED_OTHERWISE = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.EXPIRED})

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


@router.post(
    "",
    status_code=202,
    summary="Submit a job",
    openapi_extra=SUBMIT_BODY,
    responses=json_answers(
        {202: "Accepted and stored", 200: "Ended within `Prefer: wait`, or known by its key"},
        JobRecord,
        problems=(400, 404, 409, 413, 415, 422, 429, 503),
    ),
)
async def submit(request: Request) -> Response:
    """Check the input against the model's schema and store the job; with `Prefer: wait=10` answer with its result."""
    desk, fields = desk_of(request), header_fields(request)
    preference = read_preference(fields, max_wait_s=desk.settings.max_wait_s, is_submission=True)
    key, trace = read_idempotency_key(fields), read_traceparent(fields.get(TRACEPARENT, ""))
    raw = await read_json_body(request, fields, max_bytes=desk.settings.max_body_bytes)
    failpoint("api.body_read")
    seen = await _hand_in(request, desk, raw, preference, idempotency_key=key, traceparent=trace)
    return _submitted(seen, preference)


@router.put(
    "/{job_id}",
    status_code=202,
    summary="Submit a job under an id of your own",
    openapi_extra=PUT_BODY,
    responses=json_answers(
        {202: "Accepted and stored", 200: "Ended within `Prefer: wait`, or known by its id"},
        JobRecord,
        problems=(400, 404, 409, 410, 413, 415, 422, 429, 503),
    ),
)
async def put(
    request: Request, job_id: Annotated[str, Path(json_schema_extra={"pattern": CHOSEN_PATTERN})]
) -> Response:
    """Submit under a chosen id: 26 to 64 letters, digits, - or _. The same body again is the same job."""
    desk, fields = desk_of(request), header_fields(request)
    chosen_id = _chosen(job_id)
    preference = read_preference(fields, max_wait_s=desk.settings.max_wait_s, is_submission=True)
    trace = read_traceparent(fields.get(TRACEPARENT, ""))
    raw = await read_json_body(request, fields, max_bytes=desk.settings.max_body_bytes)
    seen = await _hand_in(request, desk, raw, preference, chosen_id=chosen_id, traceparent=trace)
    return _submitted(seen, preference)


def _chosen(job_id: str) -> str:
    try:
        return check_chosen_id(job_id)
    except ValueError as error:
        raise invalid_fields([FieldError("/path/job_id", str(error), "impossible_id")]) from error


async def _hand_in(request: Request, desk: JobDesk, raw: bytes, preference: Preference, **known_by: str) -> Seen:
    if preference.is_attended:
        return await submit_attended(request, desk, raw, wait_s=preference.wait_s, **known_by)
    return await desk.submit(raw, wait_s=preference.wait_s, **known_by)


def _submitted(seen: Seen, preference: Preference) -> Response:
    headers = {"Location": f"/v1/jobs/{seen.job.id}"}
    if seen.found_by:
        headers[seen.found_by] = "true"
    return _record(seen, preference, headers, open_status=200 if seen.found_by else 202)


@router.get(
    "",
    summary="List jobs",
    openapi_extra=LISTING,
    responses=json_answers({200: "Newest first"}, JobList, problems=(422, 503)),
)
async def list_jobs(
    request: Request, limit: Annotated[int, Query(ge=1, le=500, description="How many at most.")] = 50
) -> Response:
    """List the jobs that the filters mean, without results. A page may be short: only `next` tells where all ends."""
    query = dict(request.query_params)
    metadata, cursor = read_metadata(query), query.get("cursor", "")
    wanted = read_shape({name: query[name] for name in _FILTERS if name in query}, JobFilter, "/query")
    wanted = wanted.model_copy(update={"metadata": metadata})
    listing = Listing(desk_named(request, wanted.tenant).jobs)
    page = await listing.page(wanted, limit=limit, cursor=Cursor.parse(cursor) if cursor else None)
    return json_answer({"jobs": [seen.document() for seen in page.jobs], "next": page.next and str(page.next)})


@router.get(
    "/{job_id}",
    summary="Look at a job",
    openapi_extra=WATCHING,
    responses={
        **json_answers(
            {200: "The job; with `Prefer: wait` after its end or the wait"}, JobRecord, problems=(404, 410, 503)
        ),
        304: {"description": "As it was when it had the tag of `If-None-Match`, with `Prefer: wait` all that time"},
    },
)
async def read(request: Request, job_id: str) -> Response:
    """Show a job; with `Prefer: wait=10` answer when it ends or the time is over, with the result inside.

    With `If-None-Match` beside it the wait is for any change: it is answered as soon as the record has another `ETag`.
    """
    fields, preference, jobs = header_fields(request), _preference(request), desk_of(request).jobs
    if preference.wait_s and (asked := fields.get("if-none-match")):
        services, known = services_of(request), KnownRecord(asked)
        seen = await see_changed(services, jobs, job_id, known=known, wait_s=preference.wait_s)
    else:
        seen = await jobs.see(job_id, wait_s=preference.wait_s, with_result=preference.wait_s > 0)
    document = seen.document()
    answer = json_answer(document, 200, _applied(preference) | _trace(seen) | seen.headers)
    return with_tag(answer, fields, str(RecordTag.of(document)))


@router.get(
    "/{job_id}/result",
    summary="Fetch a job's result",
    openapi_extra=WAITING,
    responses={
        200: {
            "description": "The result, as the model's `output_schema` says",
            "content": {"application/json": {"schema": {}}},
        },
        206: {"description": "The part that `Range` asked for", "content": {"application/json": {"schema": {}}}},
        304: {"description": "The result that has the tag of `If-None-Match`"},
        **json_answers({202: "Not ended yet"}, JobRecord, problems=(404, 409, 410, 416, 503)),
    },
)
async def result(request: Request, job_id: str) -> Response:
    """Give the result as it is, without a record around it; honours `Prefer: wait`."""
    preference = _preference(request)
    seen = await desk_of(request).jobs.see(job_id, wait_s=preference.wait_s, with_result=True)
    if seen.is_open:
        return _record(seen, preference, {}, open_status=202)
    if seen.job.status is not JobStatus.SUCCEEDED:
        raise JobNotSucceeded(_why_no_result(seen))
    if seen.output is None:
        raise JobExpired(f"the result of job {job_id} is no longer kept")
    whole = Response(seen.output, headers=_applied(preference) | _trace(seen), media_type="application/json")
    fields = header_fields(request)
    return partial(with_tag(whole, fields), fields)


@router.post(
    "/{job_id}/cancel",
    summary="Cancel a job",
    responses=json_answers(
        {200: "Canceled, or had ended before", 202: "In its forward pass; canceled when that ends"},
        JobRecord,
        problems=(404, 409, 410, 503),
    ),
)
async def cancel(
    request: Request,
    job_id: str,
    strict: Annotated[bool, Query(description="409 if it has ended in another way, instead of its record.")] = False,
) -> Response:
    """Cancel a job; asking again changes nothing, and an ended job stays as it is."""
    seen = await desk_of(request).cancel(job_id)
    if strict and seen.job.status in _ENDED_OTHERWISE:
        raise JobEnded(f"job {job_id} is {seen.job.status}, so there is nothing to cancel")
    return _record(seen, Preference(0, ""), {}, open_status=202)


@router.get(
    "/{job_id}/timeline",
    summary="See what happened to a job",
    responses=json_answers({200: "Its steps, waits and cost"}, Timeline, problems=(404, 410, 503)),
)
async def timeline(request: Request, job_id: str) -> Response:
    """Show when a job was accepted, ready, claimed, started and ended, and what it took of its worker's time."""
    desk = desk_of(request)
    job = (await desk.jobs.see(job_id)).job
    return json_answer(timeline_document(job, await desk.jobs.past(job), await desk.jobs.moves(job)))


def _preference(request: Request) -> Preference:
    return read_preference(header_fields(request), max_wait_s=desk_of(request).settings.max_wait_s)


def _record(seen: Seen, preference: Preference, headers: dict[str, str], *, open_status: int) -> Response:
    headers |= _applied(preference) | _trace(seen) | seen.headers
    return json_answer(seen.document(), open_status if seen.is_open else 200, headers)


def _applied(preference: Preference) -> dict[str, str]:
    return {"Preference-Applied": preference.applied} if preference.applied else {}


def _trace(seen: Seen) -> dict[str, str]:
    return {TRACEPARENT: seen.job.traceparent} if seen.job.traceparent else {}


def _why_no_result(seen: Seen) -> str:
    document = seen.document()
    why = f"job {seen.job.id} is {seen.job.status}"
    if error := document["error"]:
        return f"{why}: {error['cause']}: {error['detail']}"
    return f"{why}, so it has no result"
