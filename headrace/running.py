"""Where `headrace up` says that it runs, so that commands on the same machine find it without being told."""

import json
import os
from pathlib import Path
from typing import NamedTuple

_FILE = "up.json"


class RunningSystem(NamedTuple):
    """A system that `headrace up` keeps alive."""

    #: Process id of `headrace up`.
    pid: int
    #: Where its API is.
    url: str
    redis_url: str


def announce(data_dir: Path, running: RunningSystem) -> None:
    """Say in the data folder that the system runs."""
    part = data_dir / f"{_FILE}.part"
    part.write_text(json.dumps(running._asdict()))
    part.replace(data_dir / _FILE)


def withdraw(data_dir: Path) -> None:
    """Say that it runs no more."""
    (data_dir / _FILE).unlink(missing_ok=True)


def find_running(data_dir: Path) -> RunningSystem | None:
    """The system that runs on this data folder, None if there is none."""
    try:
        running = RunningSystem(**json.loads((data_dir / _FILE).read_text()))
        os.kill(running.pid, 0)
    except (OSError, ValueError, TypeError):
        return None
    return running
