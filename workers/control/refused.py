"""Commands of Celery's that make no sense here. Each is refused with what to do instead."""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from celery.worker.control import control_command

from workers.control.answers import Answer, refusal

_SCALE = (
    "a worker runs one batch at a time on its device, so it has no pool to size: raise min_workers or max_workers of"
    " its worker class; `headrace scaling` says how many workers there are and why"
)
_LIMIT = (
    "no time limit was set: the setting forward_limit_s limits a batch of jobs, `run_timeout_s` and `deadline` a single"
    " job; plain tasks run in a thread, which cannot be stopped"
)

#: Command -> its arguments on Celery's command line, and what to do instead.
REFUSED: Mapping[str, tuple[list[tuple[str, type]], str]] = MappingProxyType(
    {
        "pool_grow": ([("n", int)], _SCALE),
        "pool_shrink": ([("n", int)], f"{_SCALE}; `control shutdown` drains this one"),
        "autoscale": ([("max", int), ("min", int)], _SCALE),
        "time_limit": ([("task_name", str), ("soft", float), ("hard", float)], _LIMIT),
    }
)


def _refuse(instead: str, _state: Any, **_: Any) -> Answer:
    return refusal(instead)


for _name, (_args, _instead) in REFUSED.items():
    control_command(name=_name, args=_args, help="Refused; the answer says what to do instead.")(
        partial(_refuse, _instead)
    )
