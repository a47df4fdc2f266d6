"""Routes about released models."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from api.answers import json_answer
from api.documentation import json_answers
from api.records import model_document, schema_document, versions_document
from api.schemas.models import ModelList, ModelRecord, ModelSchema, VersionList, WarmModel
from api.services import services_of
from headrace.presence import ModelState
from headrace.timestamps import rfc3339
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
    return json_answer({"models": documents})


@router.get(
    "/{name}",
    summary="Look at a model",
    responses=json_answers({200: "With its schemas and examples"}, ModelRecord, problems=(404, 503)),
)
async def read_model(request: Request, name: str) -> Response:
    """Show one model."""
    model = await services_of(request).catalog.find(name)
    document = await _document(request, model)
    return json_answer(document)


@router.get(
    "/{name}/versions",
    summary="List the versions of a model",
    responses=json_answers({200: "The newest first"}, VersionList, problems=(404, 422, 503)),
)
async def list_versions(
    request: Request,
    name: str,
    limit: Annotated[int, Query(ge=1, le=500, description="How many at most.")] = 50,
    before: Annotated[int | None, Query(ge=1, le=100_000_000, description="`next` of the page before.")] = None,
) -> Response:
    """List all versions of a released model, also those that get no jobs: state, part of new jobs, digest, age."""
    catalog = services_of(request).catalog
    model = await catalog.find(name)
    found = await catalog.versions(model, before=before, limit=limit)
    return json_answer(versions_document(model.release, found))


@router.get(
    "/{name}/schema",
    summary="Look at what a version takes and gives",
    responses=json_answers({200: "JSON Schemas of its input and output"}, ModelSchema, problems=(404, 422, 503)),
)
async def read_schema(
    request: Request,
    name: str,
    version: Annotated[
        str | None,
        Query(min_length=1, max_length=64, description="Its number or an alias; else the one that gets most jobs."),
    ] = None,
) -> Response:
    """Show the input and output schema of one version, released or not."""
    return json_answer(schema_document(await services_of(request).catalog.manifest(name, version)))


@router.post(
    "/{name}/warm",
    status_code=202,
    summary="Have a model loaded before its jobs come",
    responses=json_answers({202: "Workers are told"}, WarmModel, problems=(404, 422, 503)),
)
async def warm(
    request: Request,
    name: str,
    for_s: Annotated[int, Query(ge=1, le=86_400, description="How long to keep it.")] = 600,
) -> Response:
    """Have each worker that serves a model load the versions that get its jobs, whatever makes way for that."""
    services = services_of(request)
    model = await services.catalog.find(name)
    refs = [served.ref for number, served in sorted(model.versions.items()) if number in model.release.traffic.shares]
    until_ms = time.time_ns() // 1_000_000 + 1000 * for_s
    for ref in refs:
        await services.mux.run(services.store.warm_up(ref, until_ms=until_ms))
    document = {"model": name, "versions": [ref.version for ref in refs], "until": rfc3339(until_ms)}
    return json_answer(document, 202)


async def _document(request: Request, model: ServedModel) -> dict[str, Any]:
    roster = await services_of(request).presences.roster()
    loaded = (worker.models.get(str(model.current.ref)) for worker in roster.workers)
    ready = sum(presence is not None and presence.state is ModelState.READY for presence in loaded)
    return model_document(model, workers=ready)
