"""Workers as processes of this machine: here small Python programs stand in for workers."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scheduler.backends.port import BackendState, BackendWorker
from scheduler.backends.process import ProcessBackend

#: Prints its node name and a setting, then waits for SIGTERM and ends as a drained worker does.
PATIENT = """
import os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: (print("drained", flush=True), sys.exit(0)))
print("ready", sys.argv[1], os.environ["HEADRACE_CELL"], flush=True)
while True: signal.pause()
"""

CRASHING = "import sys; print('no such device'); sys.exit(3)"

#: Owns a worker, says its process id and waits.
OWNER = """
import sys, time
from scheduler.backends.process import ProcessBackend
worker = "import os, time; print(os.getpid()); time.sleep(600)"
command = lambda *_: [sys.executable, "-c", worker]
say = lambda _name, text: print(text, flush=True)
backend = ProcessBackend(environment={}, sink=say, command_of=command)
backend.start("gpu", 1)
time.sleep(600)
"""


class Output:
    """Collects lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __call__(self, name: str, text: str) -> None:
        self.lines.append((name, text))


@pytest.fixture
def output() -> Output:
    return Output()


def backend_of(source: str, output: Output) -> ProcessBackend:
    return ProcessBackend(
        environment={"HEADRACE_CELL": "t1"},
        sink=output,
        command_of=lambda worker_class, name: [sys.executable, "-c", source, worker_class + name],
    )


@pytest.fixture
def backend(output: Output) -> Iterator[ProcessBackend]:
    backend = backend_of(PATIENT, output)
    yield backend
    for worker in backend.workers():
        backend.kill(worker.id)


def wait_for(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.01)


def wait_for_end(backend: ProcessBackend) -> BackendWorker:
    seen: list[BackendWorker] = []

    def has_ended() -> bool:
        seen[:] = backend.workers()
        return seen[0].state is BackendState.ENDED

    wait_for(has_ended)
    return seen[0]


def test_a_worker_gets_its_class_its_name_and_the_settings(backend: ProcessBackend, output: Output) -> None:
    worker = backend.start("gpu", 1)

    wait_for(lambda: bool(output.lines))

    assert output.lines == [(worker.id, f"ready gpu{worker.id} t1")]
    assert backend.workers() == [BackendWorker(worker.id, "gpu", 1, BackendState.RUNNING, number=1)]


def test_settings_of_this_shell_do_not_reach_a_worker(monkeypatch: pytest.MonkeyPatch, output: Output) -> None:
    monkeypatch.setenv("HEADRACE_WORKER_CLASSES__GPU__WORKERS", "9")
    backend = backend_of("import os; print(os.environ.get('HEADRACE_WORKER_CLASSES__GPU__WORKERS'))", output)

    worker = backend.start("gpu", 1)
    wait_for_end(backend)

    assert output.lines == [(worker.id, "None")]


def test_no_two_workers_have_the_same_name(backend: ProcessBackend) -> None:
    first, second = backend.start("gpu", 1), backend.start("gpu", 1)

    assert first.id != second.id


def test_a_drained_worker_finishes_and_is_listed_once_more(backend: ProcessBackend, output: Output) -> None:
    worker = backend.start("gpu", 1)
    wait_for(lambda: bool(output.lines))

    backend.drain(worker.id)
    backend.drain(worker.id)
    ended = wait_for_end(backend)

    assert ended.ending == "ended with status 0"
    assert output.lines[1:] == [(worker.id, "drained")]
    assert backend.workers() == []


def test_a_killed_worker_is_gone(backend: ProcessBackend) -> None:
    worker = backend.start("gpu", 1)

    backend.kill(worker.id)

    assert wait_for_end(backend).ending == "was killed by SIGKILL"


def test_a_crash_is_reported_with_the_last_lines(output: Output) -> None:
    backend = backend_of(CRASHING, output)
    backend.start("gpu", 1)

    ended = wait_for_end(backend)

    assert ended.ending == "ended with status 3"
    assert ended.last_lines == ("no such device",)


def test_workers_die_with_a_killed_owner(checkout: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, cwd=checkout, text=True)
    assert owner.stdout is not None
    worker_pid = int(owner.stdout.readline())

    owner.send_signal(signal.SIGKILL)
    owner.communicate()

    wait_for(lambda: not is_alive(worker_pid))


@pytest.fixture
def checkout() -> Path:
    return Path(__file__).resolve().parents[2]


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that only waits to be reaped by init does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
