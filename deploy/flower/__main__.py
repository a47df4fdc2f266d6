"""`python -m deploy.flower`: run Flower until told to stop. Settings come from the environment."""

import logging
import signal
import sys
from types import FrameType
from typing import Any

from flower.app import Flower
from flower.options import options
from flower.urls import settings as web_settings
from tornado.ioloop import PeriodicCallback

from deploy.flower.job_queues import JobQueues
from deploy.flower.pages import open_api_to_this_host, show_job_queues
from headrace import logs
from headrace.errors import HeadraceError
from headrace.settings import Settings, get_settings
from workers.app import make_app

log = logging.getLogger("headrace.flower")

#: Jobs that Flower remembers, newest first out of memory; ten times as many are its own default.
_MAX_TASKS = 10_000
#: How often workers are asked about themselves; Flower asks only once, when it starts.
_REFRESH_MS = 10_000
#: After this long a worker that is gone leaves the metrics.
_PURGE_S = 3_600


def flower_options(settings: Settings) -> dict[str, Any]:
    """Flower's options, all of them on the safe side: nothing can be changed through it.

    Raises:
        SettingsError: if others than this host could look at it without a password.
    """
    settings.check_flower()
    return {
        "address": settings.flower_host,
        "port": settings.flower_port,
        "basic_auth": settings.flower_auth.split(",") if settings.flower_auth else [],
        "read_only": True,
        "max_tasks": _MAX_TASKS,
        "purge_offline_workers": _PURGE_S,
        "persistent": False,
    }


def make_flower(settings: Settings) -> Flower:
    """Flower with job queues on its Broker page, listening but not yet started.

    Raises:
        SettingsError: if it may not be shown at its address.
    """
    for name, value in flower_options(settings).items():
        setattr(options, name, value)
    show_job_queues(JobQueues(url=settings.redis_url, cell=settings.cell))
    if not settings.flower_auth:
        open_api_to_this_host()
    flower = Flower(capp=make_app(settings), options=options, **web_settings)
    flower.start_http_server()
    PeriodicCallback(flower.update_workers, _REFRESH_MS).start()
    return flower


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def main() -> None:
    """Run Flower."""
    try:
        settings = get_settings()
        logs.configure(settings.log_style, service="flower")
        # Each page would be a line, and each time that no worker answers, which is no fault while none runs.
        for name in ("tornado.access", "flower.inspector"):
            logging.getLogger(name).setLevel(logging.ERROR)
        flower = make_flower(settings)
    except HeadraceError as error:
        sys.exit(f"headrace flower: {error.detail}")
    except OSError as error:
        sys.exit(f"headrace flower: cannot listen on {settings.flower_host}:{settings.flower_port}: {error}")
    signal.signal(signal.SIGTERM, _leave)
    log.info("Flower listens on %s:%s, read only", settings.flower_host, settings.flower_port)
    try:
        flower.start()
    except (KeyboardInterrupt, SystemExit):
        flower.stop()


if __name__ == "__main__":
    main()
