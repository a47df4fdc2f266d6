"""Back end that runs workers as processes of this machine, which end when the owner ends."""

import itertools
import secrets
import subprocess
from collections.abc import Callable, Mapping, Sequence

from scheduler.backends.port import BackendState, BackendWorker
from scheduler.backends.spares import Spares
from scheduler.processes import Process, Sink, describe_status, python_module

#: Makes the command of a worker from its class and node name.
CommandOf = Callable[[str, str], Sequence[str]]


def worker_command(worker_class: str, name: str) -> list[str]:
    """How a worker is started."""
    return python_module("workers", "--worker-class", worker_class, "--name", name)


def spare_processes(*, environment: Mapping[str, str], sink: Sink) -> Callable[[str, str], Process]:
    """How the process of a spare is made, from its class and what its lines begin with."""

    def make(worker_class: str, name: str) -> Process:
        command = python_module("workers", "--worker-class", worker_class, "--spare")
        return Process(name=name, command=command, environment=environment, sink=sink, stdin=subprocess.PIPE)

    return make


class _Worker:
    """A worker's process and what was asked of it."""

    def __init__(self, *, process: Process, worker_class: str, slot: int, number: int) -> None:
        self.process = process
        self._number = number
        self._worker_class = worker_class
        self._slot = slot
        self._state = BackendState.RUNNING

    def drain(self) -> None:
        if self._state is BackendState.RUNNING:
            self._state = BackendState.DRAINING
            self.process.terminate()

    def view(self) -> BackendWorker:
        status = self.process.status
        known = BackendWorker(self.process.name, self._worker_class, self._slot, self._state, number=self._number)
        if status is None:
            return known
        lines = tuple(self.process.tail())
        return known._replace(state=BackendState.ENDED, ending=describe_status(status), last_lines=lines)


class ProcessBackend:
    """Workers as child processes.

    Args:
        environment: the settings, for the workers.
        sink: gets the workers' output.
        command_of: how a worker is started.
        spares: processes that can become workers; None if there are none.
    """

    def __init__(
        self,
        *,
        environment: Mapping[str, str],
        sink: Sink,
        command_of: CommandOf = worker_command,
        spares: Spares | None = None,
    ) -> None:
        self._environment = environment
        self._sink = sink
        self._command_of = command_of
        self._spares = spares
        self._workers: dict[str, _Worker] = {}
        self._numbers = itertools.count(1)

    def workers(self) -> list[BackendWorker]:
        """Every worker started here; one that ended is listed once more, then forgotten."""
        views = [worker.view() for worker in self._workers.values()]
        for view in views:
            if view.state is BackendState.ENDED:
                del self._workers[view.id]
        return views

    def start(self, worker_class: str, slot: int) -> BackendWorker:
        """Start a worker of a class, if there is one as what a spare becomes."""
        name = f"{worker_class}-{slot}-{secrets.token_hex(2)}"
        process = self._spares.take(worker_class, name) if self._spares else None
        if process is None:
            command = self._command_of(worker_class, name)
            process = Process(name=name, command=command, environment=self._environment, sink=self._sink)
        worker = _Worker(process=process, worker_class=worker_class, slot=slot, number=next(self._numbers))
        self._workers[name] = worker
        return worker.view()

    def drain(self, worker_id: str) -> None:
        """Ask a worker to finish what it has and end; asked again, nothing happens."""
        if worker := self._workers.get(worker_id):
            worker.drain()

    def kill(self, worker_id: str) -> None:
        """End a worker at once; its jobs are rescued when their leases run out."""
        if worker := self._workers.get(worker_id):
            worker.process.kill()
