"""`headrace.submit`: a plain Celery task by which existing Celery producers hand in jobs.

    app.send_task("headrace.submit", ["embedder", {"text": "hello"}], queue="headrace.plain").get()

The task ends when the job is stored; its *result* is the job's, stored by a courier when the job has ended
(`task_results`). So no thread of a worker waits for a job.
"""

from functools import cache
from typing import Any

from celery import Celery
from celery.exceptions import Ignore

from headrace.errors import InvalidInput, QueueFull, Unavailable
from headrace.settings import Settings
from workers.submit_desk import SubmitDesk

SUBMIT_TASK = "headrace.submit"

_POSITIONAL = ("model", "input", "options")
_RETRY_S = 2.0


def add_submit_task(app: Celery, settings: Settings) -> None:
    """Register the task; nothing is opened before it runs for the first time."""
    desk = cache(lambda: SubmitDesk(settings))

    # Acknowledged when the job is stored: a worker that dies before leaves the message, and the task's id makes sure
    # that two deliveries make one job. Its success is not stored, because the job's end is what the producer waits for.
    @app.task(
        name=SUBMIT_TASK,
        shared=False,  # another application of the same process has one of its own
        bind=True,
        typing=False,
        acks_late=True,
        ignore_result=True,
        store_errors_even_if_ignored=True,
        max_retries=None,
    )
    def submit(task: Any, *args: Any, **kwargs: Any) -> str:
        wish = task.request.ignore_result
        try:
            job_id = desk().submit(document_of(args, kwargs), task_id=task.request.id, wants_result=wish is not True)
        except (QueueFull, Unavailable) as error:
            countdown_s = error.retry_after_s or _RETRY_S
            raise task.retry(exc=error, countdown=countdown_s, ignore_result=wish) from error
        if wish is False:
            # The producer asked for a result by name, so Celery would store this one over the job's.
            raise Ignore
        return job_id


def document_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The body of `POST /v1/jobs` that a call of the task stands for.

    Raises:
        InvalidInput: if it is no such call.
    """
    if len(args) > len(_POSITIONAL):
        raise InvalidInput(f"{len(args)} arguments; headrace.submit takes {', '.join(_POSITIONAL)}, best by name")
    if twice := set(_POSITIONAL[: len(args)]) & set(kwargs):
        raise InvalidInput(f"{', '.join(sorted(twice))} came twice, by place and by name")
    named = dict(zip(_POSITIONAL, args, strict=False)) | kwargs
    return {name: value for name, value in named.items() if not (name == "options" and value is None)}
