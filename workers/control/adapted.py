"""Celery's commands with their meaning for jobs; for plain tasks they do what they always did."""

from collections.abc import Sequence
from typing import Any

from celery.utils.functional import maybe_list
from celery.worker import control as stock
from celery.worker import state as worker_state
from celery.worker.control import control_command

from workers.control.answers import Answer, done, engine_of, explained, find_engine, refusal
from workers.control.canceling import cancel_jobs, split_ids
from workers.requests import JOB_TASK

_IDS = "[id1 [id2 …]]"


@control_command(name="revoke", variadic="task_id", signature=_IDS)
@explained
def revoke(state: Any, task_id: Any, terminate: bool = False, **more: Any) -> Answer:
    """Cancel jobs, and revoke plain tasks, by their ids."""
    jobs, tasks = split_ids(maybe_list(task_id) or ())
    told = cancel_jobs(state, jobs=jobs, tasks=tasks)
    if tasks:
        # Threads cannot be stopped, so `terminate` comes to the same.
        stock.revoke(state, tasks, terminate=False, **more)
        told |= {task: f"flagged as revoked{_running(task) if terminate else ''}" for task in tasks if task not in told}
    return done("; ".join(f"{known}: {how}" for known, how in told.items()) or "no id was given")


def _running(task: str) -> str:
    runs = any(request.id == task for request in tuple(worker_state.active_requests))
    return "; it has begun, and a thread cannot be terminated: it goes on" if runs else ""


@control_command(name="terminate", args=[("signal", str)], variadic="task_id", signature=f"<signal> {_IDS}")
def terminate(state: Any, signal: Any, task_id: Any, **more: Any) -> Answer:
    """Cancel jobs by their ids; a batch that runs goes on, and the job's result is discarded."""
    answer: Answer = revoke(state, task_id, terminate=True, signal=signal, **more)
    return answer


@control_command(name="pool_restart")
@explained
def pool_restart(state: Any, **_: Any) -> Answer:
    """Replace the process that runs the models once its batch has ended."""
    engine_of(state).renew_child()
    return done(
        "the models' process is replaced when its running batch has ended; what has not begun runs in the new one"
    )


@control_command(name="rate_limit", args=[("task_name", str), ("rate_limit", str)], signature="<plain task> <rate>")
def rate_limit(state: Any, task_name: str = "", rate_limit: str = "", **more: Any) -> Answer:
    """Limit the rate of a plain task (5/s, 5/m, 5/h)."""
    if task_name not in _plain_tasks(state):
        return refusal(
            f"'{task_name}' is no plain task of this worker, and jobs have no rate limit: lower max_workers of the"
            " worker class, submit in tier spot, or `control pause` them"
        )
    answer: Answer = stock.rate_limit(state, task_name, rate_limit, **more)
    return answer


def _plain_tasks(state: Any) -> set[str]:
    return set(state.app.tasks) - {JOB_TASK}


@control_command(name="add_consumer", args=[("queue", str)], signature="<queue of plain tasks>")
def add_consumer(state: Any, queue: str, **more: Any) -> Answer:
    """Take plain tasks from one more queue."""
    if _is_of_jobs(state, queue):
        return _not_a_queue(queue, f"`control serve {queue.partition('@')[0].partition(':')[0]}`")
    answer: Answer = stock.add_consumer(state, queue, **more)
    return answer


@control_command(name="cancel_consumer", args=[("queue", str)], signature="<queue of plain tasks>")
def cancel_consumer(state: Any, queue: str, **more: Any) -> Answer:
    """Take no more plain tasks from a queue."""
    if _is_of_jobs(state, queue):
        return _not_a_queue(queue, f"`control pause {queue}`")
    answer: Answer = stock.cancel_consumer(state, queue, **more)
    return answer


def _is_of_jobs(state: Any, queue: str) -> bool:
    engine = find_engine(state)
    served: Sequence[str] = list(engine.presence().models) if engine else []
    return queue.partition("@")[0].partition(":")[0] in {ref.partition("@")[0] for ref in served}


def _not_a_queue(queue: str, instead: str) -> Answer:
    return refusal(f"jobs of '{queue}' do not come through Celery's queues; use {instead}")
