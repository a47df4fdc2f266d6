"""Canceling jobs by remote control: the same script as the API's, whichever worker is asked and whoever holds them."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import redis
from celery.worker import state as worker_state

from headrace.errors import RedisUnavailable
from headrace.ids import DEFAULT_TENANT, has_form
from headrace.jobs import JobStatus
from headrace.keys import Keys
from headrace.redis_op import RedisOp
from headrace.settings import Settings
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from workers.control.answers import find_engine
from workers.task_results import task_mark

_TIMEOUT_S = 2.0


class Ids(NamedTuple):
    """What was named."""

    jobs: list[str]
    tasks: list[str]


def split_ids(ids: Iterable[str]) -> Ids:
    """Tell ids of jobs from those of plain tasks."""
    known = list(dict.fromkeys(map(str, ids)))
    return Ids([text for text in known if has_form(text)], [text for text in known if not has_form(text)])


def cancel_jobs(state: Any, *, jobs: Sequence[str], tasks: Sequence[str]) -> dict[str, str]:
    """Cancel these jobs, and those that these tasks have submitted; answers in words what became of each.

    Raises:
        RedisUnavailable: if Redis does not answer.
    """
    settings: Settings = state.app.headrace_settings
    store, connection = JobStore(Keys(cell=settings.cell)), SyncRedis(url=settings.redis_url, timeout_s=_TIMEOUT_S)
    try:
        members = {job: f"{DEFAULT_TENANT}/{job}" for job in jobs} | _submitted(connection, store, tasks)
        ops = [store.cancel(member, result_ttl_s=settings.result_ttl_s) for member in members.values()]
        statuses = connection.run_all(ops) if ops else []
    except redis.ResponseError as error:
        raise RedisUnavailable(f"Redis refuses to cancel: {error}") from error
    finally:
        connection.close()
    worker_state.revoked.update(jobs)
    if engine := find_engine(state):
        engine.drop([m for m, status in zip(members.values(), statuses, strict=True) if status is JobStatus.CANCELED])
    return {known: _in_words(status) for known, status in zip(members, statuses, strict=True)}


def _submitted(connection: SyncRedis, store: JobStore, tasks: Sequence[str]) -> dict[str, str]:
    keys = [store.keys.idempotency(DEFAULT_TENANT, task_mark(task)) for task in tasks]
    found = [connection.run(RedisOp(_member, ("GET", key))) for key in keys]
    return {task: member for task, member in zip(tasks, found, strict=True) if member}


def _member(value: bytes | None) -> str:
    return value.decode().partition("|")[0] if value else ""


def _in_words(status: JobStatus | None) -> str:
    match status:
        case None:
            return "no such job"
        case JobStatus.CANCELING:
            return "canceling: its batch goes on, its result is discarded"
        case JobStatus.CANCELED:
            return "canceled"
        case _:
            return f"had {status} already"
