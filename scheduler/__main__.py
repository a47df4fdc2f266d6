"""`python -m scheduler`: keep house until told to stop."""

import sys

from headrace import logs
from headrace.errors import HeadraceError
from headrace.settings import get_settings
from headrace.sync_redis import SyncRedis
from scheduler.loop import Scheduler
from scheduler.stop_signal import StopSignal


def main() -> int:
    """Run one scheduler; answers the exit status."""
    stop = StopSignal()
    stop.listen()
    try:
        settings = get_settings()
    except HeadraceError as error:
        print(error.detail, file=sys.stderr)  # noqa: T201 - there is no log before there are settings
        return 2
    logs.configure(settings.log_style, service="scheduler")
    connection = SyncRedis(url=settings.redis_url)
    Scheduler(settings=settings, connection=connection).run(stop)
    connection.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
