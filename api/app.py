"""The application: its parts, its routes, what wraps them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

from fastapi import FastAPI
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.types import ASGIApp

from api import docs_page, documentation, problems
from api.desk import JobDesks
from api.edge import Edge
from api.express import Express
from api.gate import Gate
from api.key_ring import KeyRing
from api.metrics import ApiCollector, RequestMeter, render_of
from api.openings import Openings
from api.rates import Rates
from api.reception import Bounds, Reception
from api.routes import (
    bulk,
    cancel_many,
    dead_letters,
    estimate,
    health,
    job_changes,
    jobs,
    keys,
    limits,
    metrics,
    models,
    queues,
    tenants,
    usage,
    webhook_endpoints,
    webhooks,
)
from api.services import Services, make_services
from headrace.settings import Settings

_DESCRIPTION = """\
Submit a job, get its id at once, fetch the result when it is there. Jobs wait in queues and run in batches.
Every error is a problem document (RFC 9457)."""
_ROUTES = (
    jobs,
    job_changes,
    bulk,
    cancel_many,
    estimate,
    dead_letters,
    models,
    queues,
    webhooks,
    webhook_endpoints,
    keys,
    limits,
    tenants,
    usage,
    metrics,
    health,
    docs_page,
)
Lifespan: TypeAlias = Callable[[FastAPI], AbstractAsyncContextManager[None]]


class Application(FastAPI):
    """FastAPI behind our own way in: `Edge`, `Gate`, then `Express`, and only what that leaves goes on.

    The framework's own layers wrap every message, and a plain route needs none of them. A layer added by
    `add_middleware` is passed by on the short way: what all requests must pass belongs here.
    """

    def __init__(self, *, meter: RequestMeter, ring: KeyRing, rates: Rates, openings: Openings, **options: Any) -> None:
        super().__init__(**options)
        self._meter = meter
        self._ring = ring
        self._rates = rates
        self._openings = openings

    def build_middleware_stack(self) -> ASGIApp:
        """Put the layers together when the first request comes, once all routes are known."""
        framework = super().build_middleware_stack()
        # Its outermost layer would answer faults that nobody foresaw in plain text, before `Edge` hears of them.
        assert isinstance(framework, ServerErrorMiddleware)
        express = Express(framework.app, routes=self.router.routes)
        gate = Gate(express, ring=self._ring, rates=self._rates, openings=self._openings)
        return Edge(gate, meter=self._meter)


def create_app(settings: Settings) -> FastAPI:
    """Put the application together; it connects when it is started.

    Raises:
        SettingsError: if the address of Redis or of the registry cannot be used.
    """
    services = make_services(settings)

    meter, reception = RequestMeter(), Reception(Bounds.of(settings))
    app = Application(
        meter=meter,
        ring=services.ring,
        rates=services.rates,
        openings=services.openings,
        title="Headrace",
        version="1",
        description=_DESCRIPTION,
        lifespan=_lifespan(services),
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        # Its spans and meters are none of ours (`trace`, `metrics`), and asking whether anybody wants them costs.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.services = services
    app.state.reception = reception
    app.state.desks = JobDesks(services)
    app.state.render_metrics = render_of(_collector(services, meter, reception))
    problems.install(app)
    documentation.install(app, models=services.catalog.models)
    for routes in _ROUTES:
        # Not `include_router`: a router inside the router costs each request a second search for its route.
        app.router.routes.extend(routes.router.routes)
    return app


def _lifespan(services: Services) -> Lifespan:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await services.start()
        try:
            yield
        finally:
            await services.close()

    return lifespan


def _collector(services: Services, meter: RequestMeter, reception: Reception) -> ApiCollector:
    return ApiCollector(
        meter=meter,
        waiting=lambda: len(services.waiters),
        connections=lambda: len(reception.book),
        dropped=reception.dropped,
        is_hearing=lambda: services.feed.is_connected,
        forecasters=services.prospects.forecasters,
    )
