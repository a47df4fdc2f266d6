"""`python -m api`: serve until told to stop. Settings come from the environment."""

import gc
import logging
import socket
import sys

import uvicorn

from api.app import create_app
from api.services import Services
from headrace import logs
from headrace.errors import HeadraceError
from headrace.network import is_loopback
from headrace.settings import Settings, get_settings

log = logging.getLogger("headrace.api")

#: Longer than clients and proxies keep idle connections, so that none is closed under a request on its way.
_KEEP_ALIVE_S = 75
_GRACE_S = 5


class Server(uvicorn.Server):
    """A server that, when told to stop, lets those go who wait for jobs: they come back elsewhere."""

    def __init__(self, config: uvicorn.Config, *, services: Services) -> None:
        super().__init__(config)
        self._services = services

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as usual; what has been made by then is for good, so collections need not walk through it."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()

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
        host=settings.api_host,
        port=settings.api_port,
        log_config=None,
        access_log=False,
        server_header=False,
        # Nothing depends on a caller's address, so no header that claims one is read.
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
    )
    return Server(config, services=app.state.services)


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
        server = make_server(settings)
    except HeadraceError as error:
        sys.exit(f"headrace api: {error}")
    server.run()
    sys.exit(0 if server.started else 3)


if __name__ == "__main__":
    main()
