"""Ends of jobs as results of the Celery tasks that submitted them, for `AsyncResult` in the producers' processes."""

from typing import Any

import orjson
from celery import states
from celery.exceptions import TaskRevokedError

from headrace.errors import JobNotSucceeded
from headrace.jobs import Job, JobStatus

_MARK = "celery:"


def task_mark(task_id: str) -> str:
    """What stands for a task where a job keeps its idempotency key, and the address that is told of its end."""
    return _MARK + task_id


def marked_task(mark: str) -> str | None:
    """The task that a mark stands for; None if it is something else."""
    return mark.removeprefix(_MARK) if mark.startswith(_MARK) else None


class TaskResults:
    """Stores results where producers look for them.

    Args:
        backend: Celery's result backend.
    """

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def store(self, task_id: str, job: Job, output: bytes | None) -> None:
        """Store the end of a job; blocks. Storing the same again changes nothing.

        Raises:
            Exception: whatever the backend raises when it cannot.
        """
        result, state = task_result(job, output)
        self._backend.store_result(task_id, result, state)


def task_result(job: Job, output: bytes | None) -> tuple[Any, str]:
    """The result, or the exception, and Celery's name for how the job ended."""
    match job.status:
        case JobStatus.SUCCEEDED if output is not None:
            return orjson.loads(output), str(states.SUCCESS)
        case JobStatus.SUCCEEDED:
            return JobNotSucceeded(f"the result of job {job.id} is no longer kept"), str(states.FAILURE)
        case JobStatus.CANCELED:
            return TaskRevokedError(f"job {job.id} was canceled"), str(states.REVOKED)
        case JobStatus.EXPIRED:
            return JobNotSucceeded(f"deadline: job {job.id} expired before it had a result"), str(states.FAILURE)
        case _:
            said = orjson.loads(output) if output else {}
            cause, detail = job.cause or said.get("cause", "internal"), said.get("detail", "nobody knows why any more")
            return JobNotSucceeded(f"{cause}: {detail}"), str(states.FAILURE)
