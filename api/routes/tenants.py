"""Routes about what bounds tenants, for operators."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from api.answers import json_answer
from api.body import body_as
from api.documentation import json_answers, json_body
from api.schemas.tenants import TenantLimitsList, TenantLimitsRecord
from api.services import services_of
from api.tenant_limits import LimitsChange, TenantLimits
from headrace.api_keys import TENANT_PATTERN

router = APIRouter(prefix="/v1/tenants", tags=["tenants"])

_Tenant = Annotated[str, Path(pattern=rf"{TENANT_PATTERN}|^\*$", description="Its name, or * for all others' caps.")]


@router.get(
    "",
    summary="See what was set for tenants",
    responses=json_answers(
        {200: "By name; also those that submitted and have nothing set"}, TenantLimitsList, problems=(503,)
    ),
)
async def list_tenants(request: Request) -> Response:
    """List the tenants that ever submitted, or for whom anything was set."""
    return json_answer({"tenants": await _limits(request).all()})


@router.get(
    "/{tenant}/limits",
    summary="See what was set for a tenant",
    responses=json_answers({200: "Null where nothing was"}, TenantLimitsRecord, problems=(422, 503)),
)
async def show(request: Request, tenant: _Tenant) -> Response:
    """Show a tenant's weight, rate and caps as they were set; `*` has the caps of all that have none of their own."""
    return json_answer(await _limits(request).of(tenant))


@router.patch(
    "/{tenant}/limits",
    summary="Set what bounds a tenant",
    openapi_extra=json_body("LimitsChange"),
    responses=json_answers({200: "As it is set now"}, TenantLimitsRecord, problems=(400, 413, 415, 422, 503)),
)
async def change(request: Request, tenant: _Tenant) -> Response:
    """Set what the body names; null takes it away. Caps and weights hold at once, rates within two seconds."""
    return json_answer(await _limits(request).change(tenant, await body_as(request, LimitsChange)))


def _limits(request: Request) -> TenantLimits:
    services = services_of(request)
    return TenantLimits(mux=services.mux, store=services.tenants)
