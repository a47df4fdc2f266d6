"""What happened in a run, as it happened: one JSON line an event, from any thread, with monotonic times."""

import json
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple


class Event(NamedTuple):
    """One line."""

    #: Monotonic seconds; all processes of a machine share that clock.
    at_s: float
    #: accepted, amended, erased, refused, fault, fired, restarted, delivered.
    what: str
    fields: dict[str, Any]


class History:
    """Writes `file`, which is whole after a crash of the run but for its last line."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._out = file.open("a", buffering=1)
        self._lock = threading.Lock()

    def note(self, what: str, **fields: Any) -> None:
        """Write an event down."""
        line = json.dumps({"at_s": round(time.monotonic(), 4), "what": what, **fields})
        with self._lock:
            self._out.write(f"{line}\n")

    def events(self, what: str = "") -> list[Event]:
        """Everything, or one kind, in order."""
        rows = (json.loads(line) for line in self.file.read_text().splitlines())
        return [Event(row.pop("at_s"), kind, row) for row in rows if (kind := row.pop("what")) == what or not what]

    def close(self) -> None:
        """Write no more."""
        self._out.close()
