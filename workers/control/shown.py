"""Celery's commands that look at its tables of requests: what this worker holds is put there first."""

import functools
from collections.abc import Callable
from typing import Any

from celery.worker.control import Panel

from workers.control.answers import find_engine

#: Of Celery's own, those that tell of requests, or do something with them.
LOOKING = ("active", "reserved", "query_task", "revoke", "terminate")


def shown(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command, carried out when Celery's tables say what is held now."""

    @functools.wraps(command)
    def look(state: Any, *args: Any, **kwargs: Any) -> Any:
        if (engine := find_engine(state)) is not None:
            engine.show_jobs()
        return command(state, *args, **kwargs)

    return look


for _name in LOOKING:
    Panel.data[_name] = shown(Panel.data[_name])
