"""The Celery application: `celery -A workers.app worker …`, best started by `python -m workers`.

Jobs do not come through Celery's queues (see `step`); plain tasks, remote control and events do, on stock `redis://`
lists.
"""

from celery import Celery

import workers.control  # noqa: F401 - registers the commands
from headrace.settings import Settings, get_settings
from headrace.webhooks import COURIER_CLASS
from workers.requests import JOB_TASK
from workers.spare import Wake
from workers.step import JobStep
from workers.submit_task import add_submit_task
from workers.webhooks.step import CourierStep

#: Queue of plain tasks.
PLAIN_QUEUE = "headrace.plain"
#: Couriers run no plain tasks: this queue of theirs stays empty.
COURIER_QUEUE = "headrace.courier"


def make_app(settings: Settings, *, worker_class: str = "on-demand", wake: Wake | None = None) -> Celery:
    """Build the application for a worker of one class; `wake` is what a spare was told."""
    app = Celery("headrace", broker=settings.redis_url, backend=settings.redis_url)
    app.conf.update(
        # Results of the jobs that Celery producers submit; other plain tasks store none unless they say so.
        result_expires=settings.result_ttl_s,
        accept_content=["json"],
        task_ignore_result=True,
        task_default_queue=PLAIN_QUEUE,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_send_task_events=True,
        # A worker without Redis waits for it; giving up would only turn a pause into an outage.
        broker_connection_max_retries=None,
        broker_connection_retry_on_startup=True,
        # One message that cannot be read would end the worker, and then the next one.
        broker_transport="workers.celery_quarantine:QuarantineTransport",
        worker_consumer="workers.celery_quarantine:QuarantineConsumer",
        # Leases decide who may finish a job, not the state of Celery's connection.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_transport_options={
            "cell": settings.cell,
            "socket_timeout": 10,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
        },
    )
    # Not in the configuration, which `inspect conf` shows to everybody.
    app.headrace_settings, app.headrace_worker_class, app.headrace_wake = settings, worker_class, wake
    app.steps["consumer"].add(CourierStep if worker_class == COURIER_CLASS else JobStep)
    app.task(name=JOB_TASK)(_job)
    add_submit_task(app, settings)
    return app


def _job() -> None:
    raise RuntimeError("a job is a record in Redis; submit it through the API")


app = make_app(get_settings())
