"""Which worker this process is: its class from the settings, and an id that no other process ever has."""

import os
import socket
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace.errors import SettingsError
from headrace.jobs import MAX_VALUE_BYTES
from headrace.settings import Settings
from headrace.worker_class import WorkerClass


@dataclass(frozen=True, kw_only=True)
class WorkerIdentity:
    """Who this worker is."""

    #: At most 64 bytes, so that records stay compact.
    id: str
    class_name: str
    worker_class: WorkerClass
    #: What it was called by whoever started it.
    node: str = ""
    #: When its process began.
    started_ms: int = field(default_factory=lambda: time.time_ns() // 1_000_000)


def class_of(settings: Settings, name: str) -> WorkerClass:
    """The settings of a worker class.

    Raises:
        SettingsError: if there is no such class.
    """
    if name not in settings.worker_classes:
        known = ", ".join(sorted(settings.worker_classes)) or "none"
        raise SettingsError(f"there is no worker class '{name}'; the settings (worker_classes) have: {known}")
    return settings.worker_classes[name]


def identity_of(app: Any, *, node: str) -> WorkerIdentity:
    """The identity of this process, from the Celery application that `make_app` made and its node name."""
    settings: Settings = app.headrace_settings
    name: str = app.headrace_worker_class
    tail = f":{os.getpid()}:{uuid.uuid4().hex[:8]}"
    host = socket.gethostname()[: MAX_VALUE_BYTES - len(tail)]
    return WorkerIdentity(
        id=host + tail,
        class_name=name,
        worker_class=class_of(settings, name),
        node=node.partition("@")[0],
        # A spare becomes a worker when it is told so, however long it has been there.
        started_ms=app.headrace_wake.at_ms if app.headrace_wake else _process_started_ms(),
    )


def _process_started_ms() -> int:
    """When the kernel started this process, Unix milliseconds: before Python had read a single module."""
    now_ms = time.time_ns() // 1_000_000
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError):
        return now_ms  # not Linux
    return now_ms - round(age_s * 1000)
