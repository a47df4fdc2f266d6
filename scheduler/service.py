"""Service: one long-running program of the system, started again whenever it ends by itself."""

import logging
from collections.abc import Mapping, Sequence

from scheduler.processes import Process, Sink, describe_status
from scheduler.restart import RestartPolicy

log = logging.getLogger("headrace.up")


class Service:
    """Keeps one program alive.

    Args:
        name: put before its lines.
        command: program and arguments.
        environment: added to ours.
        sink: gets its output.
    """

    def __init__(self, *, name: str, command: Sequence[str], environment: Mapping[str, str], sink: Sink) -> None:
        self.name = name
        self._command = command
        self._environment = environment
        self._sink = sink
        self._policy = RestartPolicy()
        self._process: Process | None = None

    @property
    def is_running(self) -> bool:
        """True while the program lives."""
        return self._process is not None and self._process.status is None

    @property
    def pid(self) -> int | None:
        """Process id, None while it is down."""
        return self._process.pid if self._process else None

    def tail(self) -> list[str]:
        """The last lines of the program."""
        return self._process.tail() if self._process else []

    def step(self, now: float) -> None:
        """Note an end, start what is due."""
        if self._process is not None and self._process.status is not None:
            self._note_end(self._process, now)
        if self._process is None and self._policy.is_due(now):
            self._policy.started(now)
            self._process = Process(
                name=self.name,
                command=self._command,
                environment=self._environment,
                sink=self._sink,
            )

    def terminate(self) -> None:
        """Ask the program to end."""
        if self._process:
            self._process.terminate()

    def kill(self) -> None:
        """End the program at once."""
        if self._process:
            self._process.kill()

    def _note_end(self, process: Process, now: float) -> None:
        delay_s = self._policy.ended(now)
        self._process = None
        words = describe_status(process.status or 0)
        log.warning("%s %s; next start in %g s", self.name, words, delay_s)
        if self._policy.is_looping:
            lines = "".join(f"\n    {line}" for line in process.tail())
            log.error(
                "%s has ended %d times in a row; its last lines:%s",
                *(self.name, self._policy.early_ends, lines),
            )
