"""The route about what tenants had."""

from datetime import date
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BeforeValidator

from api.answers import json_answer
from api.callers import caller_of
from api.desk import desk_of
from api.documentation import CSV, json_answers
from api.schemas.tenants import UsageReport
from api.services import services_of
from api.usage_reports import Span, parse_day
from headrace.api_keys import TENANT_PATTERN
from headrace.usage import as_csv, today

router = APIRouter(prefix="/v1/usage", tags=["usage"])

_ALL = "*"
_WHOSE = rf"{TENANT_PATTERN}|^\*$"
_Day = Annotated[date | None, BeforeValidator(parse_day)]


@router.get(
    "",
    summary="See what tenants had",
    responses={
        **json_answers({}, UsageReport, problems=(403, 422, 503)),
        200: {"description": "By tenant, day, model version and tier", "model": UsageReport, "content": CSV},
    },
)
async def usage(
    request: Request,
    first: Annotated[_Day, Query(alias="from", description="The first day, in UTC; else 29 before the last.")] = None,
    last: Annotated[_Day, Query(alias="to", description="The last day, in UTC; else today.")] = None,
    tenant: Annotated[
        str | None, Query(pattern=_WHOSE, description="Another's than the caller's, or * for all: keys of scope admin.")
    ] = None,
    as_format: Annotated[
        Literal["json", "csv"] | None, Query(alias="format", description="Else what `Accept` asks for.")
    ] = None,
) -> Response:
    """Count jobs, time of devices and bytes of each day; of today what there is until now."""
    whose, reports = caller_of(request).looking_after(tenant), services_of(request).usage
    span = Span.of(first, last, today=today(await desk_of(request).jobs.now_ms()))
    found = await (reports.of_all(span) if whose == _ALL else reports.of(whose, span))
    documents = [one.document() for one in found]
    accepts_csv = "text/csv" in request.headers.get("accept", "")
    if as_format == "csv" or (as_format is None and accepts_csv):
        name = f"usage_{span.first}_{span.last}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(as_csv(documents), headers=headers, media_type="text/csv")
    body = {"from": span.first.isoformat(), "to": span.last.isoformat(), "usage": documents}
    return json_answer(body)
