"""Routes about registered receivers of webhooks."""

from fastapi import APIRouter, Request, Response

from api.answers import json_answer
from api.body import body_as
from api.callers import caller_of
from api.documentation import json_answers, json_body, problem_answers
from api.endpoint_tests import test_endpoint
from api.endpoints import EndpointDesk, Shown
from api.schemas.webhooks import EndpointList, EndpointRecord, NewEndpointRecord, TestedEndpoint
from api.services import services_of
from headrace.endpoints import EndpointChange, EndpointRequest

router = APIRouter(prefix="/v1/webhook-endpoints", tags=["webhooks"])


@router.post(
    "",
    status_code=201,
    summary="Register a receiver of webhooks",
    openapi_extra=json_body("EndpointRequest"),
    responses=json_answers(
        {201: "With its secret, which is never shown again"},
        NewEndpointRecord,
        problems=(400, 409, 413, 415, 422, 503),
    ),
)
async def register(request: Request) -> Response:
    """Register a receiver with a secret of its own; jobs name it by `"webhook": {"endpoint": id}`."""
    shown = await _desk(request).register(await body_as(request, EndpointRequest))
    headers = {"Location": f"/v1/webhook-endpoints/{shown.endpoint.id}", "Cache-Control": "no-store"}
    return _shown(shown, 201, headers)


@router.get(
    "",
    summary="List the registered receivers",
    responses=json_answers({200: "The oldest first"}, EndpointList, problems=(503,)),
)
async def list_endpoints(request: Request) -> Response:
    """List the receivers, with how they have been lately."""
    documents = [shown.document() for shown in await _desk(request).all()]
    return json_answer({"endpoints": documents})


@router.get(
    "/{endpoint_id}",
    summary="Look at a registered receiver",
    responses=json_answers({200: "The endpoint"}, EndpointRecord, problems=(404, 503)),
)
async def show(request: Request, endpoint_id: str) -> Response:
    """Show a receiver, with how it has been lately."""
    return _shown(await _desk(request).find(endpoint_id))


@router.patch(
    "/{endpoint_id}",
    summary="Change a registered receiver",
    openapi_extra=json_body("EndpointChange"),
    responses=json_answers({200: "As it is now"}, EndpointRecord, problems=(400, 404, 413, 415, 422, 503)),
)
async def change(request: Request, endpoint_id: str) -> Response:
    """Change URL, events or what goes along; stop it, or start it again after it was stopped."""
    return _shown(await _desk(request).change(endpoint_id, await body_as(request, EndpointChange)))


@router.post(
    "/{endpoint_id}/rotate",
    summary="Replace the secret of a receiver",
    responses=json_answers({200: "With its new secret"}, NewEndpointRecord, problems=(404, 409, 503)),
)
async def rotate(request: Request, endpoint_id: str) -> Response:
    """Make a new secret, which is never shown again; the one before signs along for a day."""
    return _shown(await _desk(request).rotate(endpoint_id), headers={"Cache-Control": "no-store"})


@router.post(
    "/{endpoint_id}/test",
    summary="Send a test to a receiver",
    responses=json_answers({200: "What came of it"}, TestedEndpoint, problems=(404, 409, 503)),
)
async def test(request: Request, endpoint_id: str) -> Response:
    """Have a courier send one signed `endpoint.test`, and say what came of it."""
    shown = await _desk(request).find(endpoint_id)
    document = await test_endpoint(services_of(request), caller_of(request).tenant, shown.endpoint.id)
    return json_answer(document)


@router.delete(
    "/{endpoint_id}",
    status_code=204,
    summary="Forget a registered receiver",
    response_class=Response,
    responses=problem_answers(404, 503),
)
async def remove(request: Request, endpoint_id: str) -> Response:
    """Forget a receiver; what it was still to be told is given up."""
    await _desk(request).remove(endpoint_id)
    return Response(status_code=204)


def _desk(request: Request) -> EndpointDesk:
    return EndpointDesk(services_of(request), caller_of(request).tenant)


def _shown(shown: Shown, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return json_answer(shown.document(), status, headers)
