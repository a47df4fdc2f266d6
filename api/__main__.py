"""`python -m api`: serve until told to stop. Settings come from the environment."""

import contextlib
import functools
import gc
import logging
import os
import socket
import sys
from typing import cast

import uvicorn

from api.app import create_app
from api.connection import Connection
from api.reception import Reception, allow_descriptors
from api.services import Services
from headrace import logs
from headrace.errors import HeadraceError
from headrace.metric_targets import MetricTarget
from headrace.metrics_port import MetricsPort, Render
from headrace.network import is_loopback
from headrace.settings import Settings, get_settings

log = logging.getLogger("headrace.api")

_GRACE_S = 5


class Server(uvicorn.Server):
    """A server that, when told to stop, lets those go who wait for jobs: they come back elsewhere."""

    def __init__(
        self, config: uvicorn.Config, *, services: Services, reception: Reception, render_metrics: Render
    ) -> None:
        super().__init__(config)
        self._services = services
        self._reception = reception
        self.render_metrics = render_metrics

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as usual; what has been made by then is for good, so collections need not walk through it."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second, show those out whose patience is over."""
        self._reception.sweep()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer all open waits, then stop as usual."""
        self._services.waiters.close()
        await super().shutdown(sockets)


def make_server(settings: Settings) -> Server:
    """A server of the application that is not started yet."""
    _warn_of_open_door(settings)
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        # Bounds what comes before a request, and what goes after it. No WebSocket is served, so none may begin.
        http=cast("type[Connection]", functools.partial(Connection, reception=app.state.reception)),
        ws="none",
        host=settings.api_host,
        port=settings.api_port,
        log_config=None,
        access_log=False,
        server_header=False,
        # Nothing depends on a caller's address, so no header that claims one is read.
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    state = app.state
    return Server(config, services=state.services, reception=state.reception, render_metrics=state.render_metrics)


def shared_socket(settings: Settings) -> list[socket.socket] | None:
    """The socket of one of several processes on one port, among which the kernel divides new connections; else None.

    A process that is to be the only one does without: it is then refused a port that another one has.
    """
    if settings.api_processes == 1:
        return None
    host, port = settings.api_host, settings.api_port
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    shared = socket.socket(family, socket.SOCK_STREAM)
    shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    shared.bind(address)
    return [shared]


def _own_metrics(server: Server, settings: Settings) -> contextlib.AbstractContextManager[object]:
    """A port for the metrics of one of several processes: a scrape of the one that they share meets any of them."""
    if settings.api_processes == 1:
        return contextlib.nullcontext()
    target = MetricTarget("", "api", node=f"api-{os.getpid()}")
    port = MetricsPort(settings=settings, target=target, render=server.render_metrics)
    port.start()
    return contextlib.closing(port)


def _warn_of_open_door(settings: Settings) -> None:
    if is_loopback(settings.api_host):
        return
    if settings.api_insecure_bind:
        log.warning(
            "INSECURE: the API listens on %s and, until there are API keys, knows no users: whoever reaches port %s can"
            " submit, read and cancel every job (api_insecure_bind is set); `headrace keys create` ends that",
            *(settings.api_host, settings.api_port),
        )
    else:
        log.info("the API listens on %s and demands API keys; `headrace keys create` makes one", settings.api_host)


def main() -> None:
    """Run the API."""
    try:
        settings = get_settings()
        logs.configure(settings.log_style, service="api")
        allow_descriptors(settings.api_max_connections)
        server = make_server(settings)
    except HeadraceError as error:
        sys.exit(f"headrace api: {error}")
    try:
        sockets = shared_socket(settings)
    except OSError as error:
        sys.exit(f"headrace api: port {settings.api_port} of {settings.api_host} cannot be used: {error}")
    with _own_metrics(server, settings):
        server.run(sockets)
    sys.exit(0 if server.started else 3)


if __name__ == "__main__":
    main()
