"""Routes for Prometheus: this process's metrics, and where the other processes serve theirs."""

from collections.abc import Callable
from typing import cast

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from api.answers import json_answer
from api.documentation import json_answers
from api.schemas.fleet import TargetGroups
from api.services import services_of
from headrace.metric_targets import MetricTarget, MetricTargets

router = APIRouter(tags=["metrics"])

_TEXT = {"schema": {"type": "string"}}


@router.get(
    "/metrics",
    summary="See this process's metrics",
    response_class=PlainTextResponse,
    responses={
        **json_answers({}, TargetGroups),
        200: {
            "description": "In the text format of Prometheus, or OpenMetrics if that is accepted",
            "content": {"text/plain": _TEXT, "application/openmetrics-text": _TEXT},
        },
    },
)
async def metrics(request: Request) -> Response:
    """Show counters and gauges; the scheduler shows those of the queues."""
    render = cast("Callable[[str], tuple[str, bytes]]", request.app.state.render_metrics)
    content_type, body = render(request.headers.get("accept", ""))
    return Response(body, headers={"Content-Type": content_type})


@router.get(
    "/v1/metrics/targets",
    summary="See where workers, couriers and schedulers serve metrics",
    responses=json_answers({200: "As Prometheus' HTTP discovery reads it"}, TargetGroups, problems=(503,)),
)
async def targets(request: Request) -> Response:
    """List the processes that said lately where their metrics are."""
    services = services_of(request)
    listed = await services.mux.run(MetricTargets(services.store.keys).listed())
    return json_answer([_group(target) for target in listed])


def _group(target: MetricTarget) -> dict[str, object]:
    labels = {"service": target.service, "worker_class": target.worker_class, "node": target.node}
    return {"targets": [target.address], "labels": {name: value for name, value in labels.items() if value}}
