"""The environment variables that child processes are started with."""

import json
import os

from headrace.settings import Settings

#: What says to libraries how many threads to use: those of C, and those of Rust, as tokenizers are.
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")


def as_environment(settings: Settings) -> dict[str, str]:
    """The environment variables that give a child process exactly these settings."""
    return {
        f"HEADRACE_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in settings.model_dump(mode="json").items()
    }


def child_environment(*, threads: int) -> dict[str, str]:
    """This process's environment for a model's process that may use `threads` CPU threads."""
    return {**os.environ, **dict.fromkeys(_THREADS, str(threads))}
