"""MetricsPort: the small HTTP server at which a process that serves nothing else shows its metrics.

It answers in threads of its own, so whoever scrapes never waits for the process's work, nor the work for the scrape.
"""

import logging
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import redis

from headrace.errors import RedisUnavailable
from headrace.keys import Keys
from headrace.metric_targets import ANNOUNCE_S, MetricTarget, MetricTargets
from headrace.settings import Settings
from headrace.sync_redis import SyncRedis

log = logging.getLogger("headrace.metrics")

#: Ports that are tried, one after another: so many processes may share a host.
_PORTS = 256
_TIMEOUT_S = 5.0
#: How long the end of a process may have to wait for the server's.
_POLL_S = 0.25

#: Given the Accept header of a scrape; answers content type and body.
Render = Callable[[str], tuple[str, bytes]]


class MetricsPort:
    """Serves `/metrics`, and says in Redis where.

    Args:
        settings: name the host, and the first port that is tried.
        target: what this process is; its address is filled in.
        render: makes the page.
    """

    def __init__(self, *, settings: Settings, target: MetricTarget, render: Render) -> None:
        self._settings = settings
        self._targets = MetricTargets(Keys(cell=settings.cell))
        self._ended = threading.Event()
        self._server = _listen(settings, render) if settings.metrics_port else None
        self._threads: list[threading.Thread] = []
        if self._server is not None:
            host, port = settings.metrics_host, self._server.server_port
            target = target._replace(address=f"{_reachable(host)}:{port}")
            log.info("metrics at http://%s/metrics", target.address)
        self.target = target

    def start(self) -> None:
        """Begin, if there is a port."""
        if self._server is not None:
            for run in (self._serve, self._announce):
                thread = threading.Thread(target=run, name="headrace-metrics", daemon=True)
                thread.start()
                self._threads.append(thread)

    def close(self) -> None:
        """End, and say so; waits for the threads."""
        self._ended.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        for thread in self._threads:
            thread.join(_TIMEOUT_S)

    def _serve(self) -> None:
        assert self._server is not None
        self._server.serve_forever(poll_interval=_POLL_S)

    def _announce(self) -> None:
        try:
            connection = SyncRedis(url=self._settings.redis_url, timeout_s=1.0)
        except ValueError as error:
            log.debug("where the metrics are cannot be told: %s", error)
            return
        while not self._ended.is_set():
            _try(lambda: connection.run_all(self._targets.announce(self.target)))
            self._ended.wait(ANNOUNCE_S)
        _try(lambda: connection.run(self._targets.withdraw(self.target)))
        connection.close()


def _try(tell: Callable[[], object]) -> None:
    """Nobody's work depends on it."""
    try:
        tell()
    except (RedisUnavailable, redis.RedisError) as error:
        log.debug("where the metrics are cannot be told: %s", error)


def _listen(settings: Settings, render: Render) -> ThreadingHTTPServer | None:
    """A server at the first port that is free."""

    class Page(BaseHTTPRequestHandler):
        timeout = _TIMEOUT_S

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(HTTPStatus.NOT_FOUND, "the metrics are at /metrics")
                return
            content_type, body = render(self.headers.get("Accept", ""))
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the standard library's
            log.debug(format, *args)

    last = min(settings.metrics_port + _PORTS, 65_536)
    for port in range(settings.metrics_port, last):
        try:
            return ThreadingHTTPServer((settings.metrics_host, port), Page)
        except OSError as error:
            reason = error
    log.warning("no metrics: no port from %d to %d can be used (%s)", settings.metrics_port, last - 1, reason)
    return None


def _reachable(host: str) -> str:
    """The name of an address that is bound: a wildcard is none, the host's name leads there."""
    return socket.gethostname() if host in ("0.0.0.0", "::", "") else host  # noqa: S104 - looked for, not bound
