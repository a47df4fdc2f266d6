"""`python -m deploy.health api | scheduler | flower | worker NAME`: what containers are asked for their health by.

Exit status 0 if the service on this host does its work, else 1 with the reason on stderr.
"""

import argparse
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping

from headrace.errors import HeadraceError
from headrace.keys import Keys
from headrace.redis_op import RedisOp
from headrace.settings import Settings, get_settings
from headrace.sync_redis import SyncRedis

_TIMEOUT_S = 4.0


class Unhealthy(Exception):
    """Raised when a service does not do its work; says why."""


def _get(url: str) -> None:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S):  # noqa: S310 - our own http URL
            return
    except (urllib.error.URLError, OSError) as error:
        raise Unhealthy(f"{url}: {error}") from error


def check_api(settings: Settings, _name: str) -> None:
    """The API answers and reaches what it needs."""
    _get(f"http://127.0.0.1:{settings.api_port}/readyz")


def check_flower(settings: Settings, _name: str) -> None:
    """Flower answers."""
    _get(f"http://127.0.0.1:{settings.flower_port}/healthcheck")


def check_scheduler(settings: Settings, _name: str) -> None:
    """Some scheduler leads: this one, or the one that it stands by for."""
    connection = SyncRedis(url=settings.redis_url, timeout_s=_TIMEOUT_S)
    try:
        if not connection.run(RedisOp(int, ("EXISTS", Keys(cell=settings.cell).leader))):
            raise Unhealthy("no scheduler leads")
    finally:
        connection.close()


def check_worker(settings: Settings, name: str) -> None:
    """The event loop of a worker of this host answers Celery's ping."""
    from workers.app import make_app  # the other checks need not wait for Celery

    node = f"{name}@{socket.gethostname()}"
    app = make_app(settings)
    # With a broker that is down, Celery would go on trying for longer than anybody waits for a health check.
    _get_through(settings)
    if not app.control.ping(destination=[node], timeout=_TIMEOUT_S, limit=1):
        raise Unhealthy(f"{node} does not answer")


def _get_through(settings: Settings) -> None:
    connection = SyncRedis(url=settings.redis_url, timeout_s=_TIMEOUT_S)
    try:
        connection.run(RedisOp(bytes, ("PING",)))
    finally:
        connection.close()


CHECKS: Mapping[str, Callable[[Settings, str], None]] = {
    "api": check_api,
    "scheduler": check_scheduler,
    "flower": check_flower,
    "worker": check_worker,
}


def main() -> int:
    """Check one service; answers the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deploy.health", description="Check a service of this host.")
    parser.add_argument("service", choices=sorted(CHECKS))
    parser.add_argument("name", nargs="?", default="worker", help="of a worker, as given to it by --name")
    options = parser.parse_args()
    try:
        CHECKS[options.service](get_settings(), options.name)
    except (HeadraceError, Unhealthy) as error:
        print(f"unhealthy: {error}", file=sys.stderr)  # noqa: T201 - shown by the container engine
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
