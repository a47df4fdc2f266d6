"""The application: its parts, its routes, what wraps them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from api import documentation, problems
from api.desk import JobDesks
from api.edge import Edge
from api.express import Express
from api.metrics import ApiCollector, RequestMeter, render_of
from api.routes import dead_letters, health, jobs, metrics, models, queues, webhooks
from api.services import make_services
from headrace.settings import Settings

_DESCRIPTION = """\
Submit a job, get its id at once, fetch the result when it is there. Jobs wait in queues and run in batches.
Every error is a problem document (RFC 9457)."""


def create_app(settings: Settings) -> FastAPI:
    """Put the application together; it connects when it is started.

    Raises:
        SettingsError: if the address of Redis or of the registry cannot be used.
    """
    services = make_services(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await services.start()
        try:
            yield
        finally:
            await services.close()

    app = FastAPI(title="Headrace", version="1", description=_DESCRIPTION, lifespan=lifespan, redirect_slashes=False)
    app.state.services = services
    app.state.desks = JobDesks(services)
    meter = RequestMeter()
    collector = ApiCollector(
        meter=meter, waiting=lambda: len(services.waiters), is_hearing=lambda: services.feed.is_connected
    )
    app.state.render_metrics = render_of(collector)
    app.add_middleware(Express, routes=app.router.routes)
    app.add_middleware(Edge, meter=meter)
    problems.install(app)
    documentation.install(app)
    for routes in (jobs, dead_letters, models, queues, webhooks, metrics, health):
        # Not `include_router`: a router inside the router costs each request a second search for its route.
        app.router.routes.extend(routes.router.routes)
    return app
