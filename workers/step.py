"""JobStep: hangs the engine into a Celery worker, by public API only: bootsteps and the hub."""

import gc
import logging
import os
import signal
from typing import Any

from celery import bootsteps
from celery.worker import state
from celery.worker.consumer.events import Events
from celery.worker.consumer.tasks import Tasks

from headrace.settings import Settings
from workers.celery_view import CeleryView
from workers.child_process import ChildProcess
from workers.engine import JobEngine
from workers.identity import identity_of
from workers.job_events import JobEvents
from workers.preemption.sources import source_of
from workers.preemption.watch import PreemptionWatch

log = logging.getLogger("headrace.step")

#: New objects after which the collector looks for cycles: Python's 700 are made by every batch, and hold none.
_YOUNG_OBJECTS = 20_000

_STATS = {"jobs_done", "jobs_held", "batches", "forward_ms", "models", "paused", "state"}


class JobStep(bootsteps.StartStopStep):
    """Starts the engine with the consumer, attaches it again after each reconnect, stops it with the worker.

    The engine hangs on the worker, not on the consumer, which Celery rebuilds whenever its connection breaks.
    """

    requires = (Tasks, Events)

    def register_with_event_loop(self, consumer: Any, hub: Any) -> None:
        """Celery's loop is about to run: for the first time, or anew with everything on it forgotten."""
        worker = consumer.controller
        if not hasattr(worker, "headrace_engine"):
            worker.headrace_view = CeleryView(consumer=consumer)
            worker.headrace_engine = JobEngine(
                settings=consumer.app.headrace_settings,
                identity=identity_of(consumer.app, node=consumer.hostname),
                view=worker.headrace_view,
                ahead=_child_ahead(consumer.app),
            )
            worker.headrace_engine.start()
            worker.headrace_watch = _watch(worker.headrace_engine, consumer.app.headrace_settings)
            # What start-up made stays; walking through it in every full collection was 40 % of the loop's time.
            gc.freeze()
            gc.set_threshold(_YOUNG_OBJECTS)
        engine = worker.headrace_engine
        worker.headrace_view.follow(consumer, JobEvents(wire=engine.wire, dispatcher=consumer.event_dispatcher))
        engine.attach(hub)

    def info(self, consumer: Any) -> dict[str, Any]:
        """What `inspect stats` shows of the engine."""
        engine = getattr(consumer.controller, "headrace_engine", None)
        return {"jobs": engine.presence().model_dump(mode="json", include=_STATS)} if engine else {}

    def stop(self, consumer: Any) -> None:
        """The worker stops, or Celery only reconnects: then the engine lives on."""
        worker = consumer.controller
        engine = getattr(worker, "headrace_engine", None)
        if engine is None or worker.blueprint.state == bootsteps.RUN:
            return
        if state.should_terminate:
            # A cold shutdown: SIGQUIT, or Ctrl-C twice.
            engine.hurry()
        engine.stop()
        if worker.headrace_watch is not None:
            worker.headrace_watch.close()
        del worker.headrace_engine

    terminate = stop


def _child_ahead(app: Any) -> ChildProcess | None:
    """The child that this process has ready if it was a spare."""
    return app.headrace_wake.child if app.headrace_wake else None


def _watch(engine: JobEngine, settings: Settings) -> PreemptionWatch | None:
    """Have the worker stop when the machine is to be taken away, if anybody would say so."""
    source = source_of(settings)
    if source is None:
        return None

    def stop(left_s: float) -> None:
        engine.preempt(left_s)
        os.kill(os.getpid(), signal.SIGTERM)

    # A plain task cannot be stopped, and Celery would wait for it. What is held by then is taken back by its lease.
    watch = PreemptionWatch(
        source=source, grace_s=settings.shutdown_grace_s, on_notice=stop, on_overdue=lambda: os._exit(1)
    )
    watch.start()
    return watch
