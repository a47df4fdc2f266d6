"""Routes about released models."""

from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from api.documentation import json_answers
from api.records import model_document
from api.schemas import ModelList, ModelRecord
from api.services import services_of
from headrace.presence import ModelState
from registry.served import ServedModel

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.get(
    "",
    summary="List the released models",
    responses=json_answers({200: "By name"}, ModelList, problems=(503,)),
)
async def list_models(request: Request) -> Response:
    """List what jobs can be submitted to."""
    services = services_of(request)
    documents = [await _document(request, model) for model in services.catalog.models()]
    return Response(orjson.dumps({"models": documents}), media_type="application/json")


@router.get(
    "/{name}",
    summary="Look at a model",
    responses=json_answers({200: "With its schemas and examples"}, ModelRecord, problems=(404, 503)),
)
async def read_model(request: Request, name: str) -> Response:
    """Show one model."""
    model = await services_of(request).catalog.find(name)
    document = await _document(request, model)
    return Response(orjson.dumps(document), media_type="application/json")


async def _document(request: Request, model: ServedModel) -> dict[str, Any]:
    roster = await services_of(request).presences.roster()
    loaded = (worker.models.get(str(model.current.ref)) for worker in roster.workers)
    ready = sum(presence is not None and presence.state is ModelState.READY for presence in loaded)
    return model_document(model, workers=ready)
