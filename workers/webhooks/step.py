"""CourierStep: hangs the courier into a Celery worker."""

from typing import Any

from celery import bootsteps
from celery.worker.consumer.tasks import Tasks

from workers.task_results import TaskResults
from workers.webhooks.courier import Courier


class CourierStep(bootsteps.StartStopStep):
    """Starts the courier with the consumer and stops it with the worker.

    The courier hangs on the worker, not on the consumer, which Celery rebuilds whenever its connection breaks.
    """

    requires = (Tasks,)

    def start(self, consumer: Any) -> None:
        """The consumer starts: for the first time, or again after a reconnect."""
        worker = consumer.controller
        if not hasattr(worker, "headrace_courier"):
            worker.headrace_courier = Courier(
                settings=consumer.app.headrace_settings, results=TaskResults(consumer.app.backend)
            )
            worker.headrace_courier.start()

    def stop(self, consumer: Any) -> None:
        """The worker stops, or Celery only reconnects: then the courier lives on."""
        worker = consumer.controller
        courier = getattr(worker, "headrace_courier", None)
        if courier is not None and worker.blueprint.state != bootsteps.RUN:
            del worker.headrace_courier
            courier.stop()

    terminate = stop
