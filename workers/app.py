"""The Celery application: `celery -A workers.app worker …`, best started by `python -m workers`.

Jobs do not come through Celery's queues (see `step`); plain tasks, remote control and events do, on stock `redis://`
lists.
"""

from typing import Any

from celery import Celery
from celery.worker.control import inspect_command

from headrace.settings import Settings, get_settings
from headrace.webhooks import COURIER_CLASS
from workers.requests import JOB_TASK
from workers.step import JobStep
from workers.webhooks.step import CourierStep

#: Queue of plain tasks.
PLAIN_QUEUE = "headrace.plain"
#: Couriers run no plain tasks: this queue of theirs stays empty.
COURIER_QUEUE = "headrace.courier"


def make_app(settings: Settings, *, worker_class: str = "on-demand") -> Celery:
    """Build the application for a worker of one class."""
    app = Celery("headrace", broker=settings.redis_url)
    app.conf.update(
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
            # Task priorities are not used; four lists a queue would be asked for in vain.
            "priority_steps": [0],
        },
        headrace_settings=settings,
        headrace_worker_class=worker_class,
    )
    app.steps["consumer"].add(CourierStep if worker_class == COURIER_CLASS else JobStep)
    app.task(name=JOB_TASK)(_job)
    return app


def _job() -> None:
    raise RuntimeError("a job is a record in Redis; submit it through the API")


@inspect_command(name="jobs")
def inspect_jobs(state: Any) -> dict[str, Any]:
    """`celery inspect jobs`: what the job engine of each worker holds and has done."""
    engine = getattr(state.consumer.controller, "headrace_engine", None)
    presence: dict[str, Any] = engine.presence().model_dump(mode="json") if engine else {}
    return presence


app = make_app(get_settings())
