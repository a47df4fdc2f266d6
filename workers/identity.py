"""Which worker this process is: its class from the settings, and an id that no other process ever has."""

import os
import socket
import uuid
from typing import Any

from headrace.errors import SettingsError
from headrace.jobs import MAX_VALUE_BYTES
from headrace.settings import Settings, WorkerClass
from workers.engine import WorkerIdentity


def class_of(settings: Settings, name: str) -> WorkerClass:
    """The settings of a worker class.

    Raises:
        SettingsError: if there is no such class.
    """
    if name not in settings.worker_classes:
        known = ", ".join(sorted(settings.worker_classes)) or "none"
        raise SettingsError(f"there is no worker class '{name}'; the settings (worker_classes) have: {known}")
    return settings.worker_classes[name]


def identity_of(conf: Any) -> WorkerIdentity:
    """The identity of this process, from the Celery application's configuration."""
    settings: Settings = conf.headrace_settings
    name: str = conf.headrace_worker_class
    tail = f":{os.getpid()}:{uuid.uuid4().hex[:8]}"
    host = socket.gethostname()[: MAX_VALUE_BYTES - len(tail)]
    return WorkerIdentity(id=host + tail, class_name=name, worker_class=class_of(settings, name))
