"""A spare: a worker's process that has everything imported, its child too, and waits to be told whose worker it is.

`python -m workers --worker-class gpu --spare` reads one line, the name of its node, from standard input and becomes
that worker; at the end of the input it ends. Until then it speaks to nobody and holds no device.
"""

import contextlib
import importlib
import sys
import time
from typing import NamedTuple

from headrace.settings import Settings
from headrace.worker_class import WorkerClass
from workers.child_process import ChildProcess, child_arguments, start_child

#: What Celery imports only when a worker starts.
_LATE = (
    *("celery.apps.worker", "celery.bin.worker", "celery.concurrency.thread", "celery.worker.consumer"),
    *("celery.worker.components", "celery.worker.autoscale", "celery.backends.redis", "celery.events.state"),
    *("kombu.transport.redis", "redis", "workers.celery_quarantine"),
)


class Wake(NamedTuple):
    """What a spare was told, and the child that it has ready."""

    node: str
    #: Unix milliseconds.
    at_ms: int
    child: ChildProcess


def wait_as_spare(settings: Settings, worker_class: WorkerClass) -> Wake:
    """Import, start a child ahead, and wait to be told a name.

    Raises:
        SystemExit: if nobody is left who could tell.
    """
    child = start_child(
        child_arguments(settings, worker_class), threads=worker_class.threads, ahead=worker_class.warm_imports
    )
    for name in _LATE:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    node = sys.stdin.readline().strip()
    if not node:
        sys.exit(0)
    return Wake(node, time.time_ns() // 1_000_000, child)
