"""The environment variables that child processes are started with."""

import json
import os

from headrace.settings import Settings


def as_environment(settings: Settings) -> dict[str, str]:
    """The environment variables that give a child process exactly these settings."""
    return {
        f"HEADRACE_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in settings.model_dump(mode="json").items()
    }


def child_environment(*, threads: int) -> dict[str, str]:
    """This process's environment for a model's process that may use `threads` CPU threads."""
    count = str(threads)
    return {**os.environ, "OMP_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count, "MKL_NUM_THREADS": count}
