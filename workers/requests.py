"""JobRequest: a claimed job as Celery sees it, so that `inspect active | reserved | query_task` is right about jobs."""

from typing import Any, ClassVar

from celery.worker.request import Request

from workers.held_jobs import HeldJob

#: Name of the task whose requests they are. It is never sent and never run.
JOB_TASK = "headrace.job"


class JobRequest(Request):
    """A request without a message: id = job id, name = model. Everything else is made when somebody asks.

    Args:
        held: the job.
        consumer: Celery's consumer, for the hostname and the event dispatcher of the moment.
    """

    # The same for all jobs; as attributes of the class they cost nothing per job.
    _expires = _eta = _message = None
    _args: tuple[object, ...] = ()
    _kwargs: ClassVar[dict[str, object]] = {}
    _argsrepr, _kwargsrepr = "()", "{}"
    _root_id = _parent_id = None
    _ignore_result = _utc = True
    _connection_errors: tuple[type[Exception], ...] = ()

    def __init__(self, held: HeldJob, consumer: Any) -> None:
        self._held = held
        self._consumer = consumer
        self.id = held.id
        self.name = self._type = held.ref

    @property
    def _app(self) -> Any:
        return self._consumer.app

    @property
    def _task(self) -> Any:
        return self._consumer.app.tasks[JOB_TASK]

    @property
    def _hostname(self) -> Any:
        return self._consumer.hostname

    @property
    def _eventer(self) -> Any:
        return self._consumer.event_dispatcher

    @_eventer.setter
    def _eventer(self, dispatcher: Any) -> None:
        """Celery assigns the new dispatcher to each live request after a reconnect; ours is looked up when needed."""

    @property
    def _delivery_info(self) -> dict[str, Any]:
        job = self._held.job
        return {"exchange": "", "routing_key": self._held.group, "priority": None, "redelivered": job.attempts > 0}

    @property
    def _request_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "task": self.name,
            "args": (),
            "kwargs": {},
            "retries": self._held.job.attempts,
            "hostname": self._hostname,
            "delivery_info": self._delivery_info,
        }

    def _on_ack(self, *args: object) -> None:
        """Nothing to acknowledge: no message brought this job."""

    def _on_reject(self, *args: object) -> None:
        """Nothing to reject."""

    def cancel(self, *_: object, **__: object) -> None:
        """Celery stops without waiting: the engine gives the job back, which charges nothing."""
        engine = getattr(self._consumer.controller, "headrace_engine", None)
        if engine is not None:
            engine.hurry()

    def terminate(self, *_: object, **__: object) -> None:
        """Nothing: the batch that this job is in is never killed for it; `revoke` cancels the job in Redis."""
