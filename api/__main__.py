"""`python -m api`: serve until told to stop. Settings come from the environment."""

import gc
import logging
import socket
import sys

import uvicorn

from api.app import create_app
from api.services import Services
from headrace import logs
from headrace.errors import HeadraceError, SettingsError
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
    """A server of the application that is not started yet.

    Raises:
        SettingsError: if it were to listen to more than this host without having been told that this is insecure.
    """
    _check_address(settings)
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


def _check_address(settings: Settings) -> None:
    host = settings.api_host
    if is_loopback(host):
        return
    if not settings.api_insecure_bind:
        raise SettingsError(
            f"HEADRACE_API_HOST: '{host}' is not a loopback address; the API knows no users yet, so it serves this"
            " host only: use 127.0.0.1 and put a proxy that authenticates in front of it. Inside a container network"
            " that nobody else can reach, HEADRACE_API_INSECURE_BIND=true allows it"
        )
    log.warning(
        "INSECURE: the API listens on %s and knows no users: whoever reaches port %s can submit, read and cancel"
        " every job (api_insecure_bind is set)",
        *(host, settings.api_port),
    )


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
