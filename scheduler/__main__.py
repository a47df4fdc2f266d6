"""`python -m scheduler`: keep house until told to stop."""

import sys

from headrace import logs
from headrace.errors import HeadraceError
from headrace.keys import Keys
from headrace.metric_targets import MetricTarget
from headrace.metrics_port import MetricsPort
from headrace.settings import Settings, get_settings
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from registry.registry import Registry
from scheduler.canary_watch import CanaryThread, CanaryWatch
from scheduler.loop import Scheduler
from scheduler.metrics import SchedulerCollector, render_of
from scheduler.stop_signal import StopSignal
from scheduler.wake import Wake

#: Redis has so long to answer a scrape.
_SCRAPE_S = 2.0


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
    wake = Wake(url=settings.redis_url, keys=Keys(cell=settings.cell))
    scheduler = Scheduler(settings=settings, connection=connection, wake=wake)
    metrics = _metrics_of(scheduler, settings)
    metrics.start()
    canaries = _canaries_of(scheduler, settings)
    if settings.canary_false_alarm:
        canaries.start()
    wake.start()
    scheduler.run(stop)
    wake.close()
    canaries.stop()
    metrics.close()
    connection.close()
    return 0


def _canaries_of(scheduler: Scheduler, settings: Settings) -> CanaryThread:
    watch = CanaryWatch(
        registry=Registry(url=settings.registry_location),
        connection=SyncRedis(url=settings.redis_url),
        store=JobStore(Keys(cell=settings.cell)),
        false_alarm=settings.canary_false_alarm,
    )
    return CanaryThread(watch=watch, is_leading=lambda: scheduler.is_leading, poll_s=settings.registry_poll_s)


def _metrics_of(scheduler: Scheduler, settings: Settings) -> MetricsPort:
    collector = SchedulerCollector(
        scheduler=scheduler,
        store=JobStore(Keys(cell=settings.cell)),
        connection=SyncRedis(url=settings.redis_url, timeout_s=_SCRAPE_S),
        classes=settings.worker_classes,
    )
    return MetricsPort(settings=settings, target=MetricTarget("", "scheduler"), render=render_of(collector))


if __name__ == "__main__":
    sys.exit(main())
