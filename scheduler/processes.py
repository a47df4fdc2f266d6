"""Process: a program of ours in a session of its own that cannot outlive us, its output read line by line."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

#: What gets each line: name of the process, text.
Sink = Callable[[str, str], None]

_PR_SET_PDEATHSIG = 1
_TAIL_LINES = 8
_LONGEST_LINE_BYTES = 16_384

#: The folder that holds the services' packages.
CHECKOUT = Path(__file__).resolve().parents[1]


def python_module(module: str, *arguments: str) -> list[str]:
    """The command that runs one of our modules; `-P` keeps folders of the working directory from hiding it."""
    return [sys.executable, "-P", "-m", module, *arguments]


class Process:
    """A started program. Start it from the main thread: the kernel ends it when the *thread* that forked it ends.

    Args:
        name: put before each of its lines.
        command: program and arguments.
        environment: added to ours, of which only the settings are left out.
        sink: gets its output.
        stdin: `subprocess.PIPE` for one that is told something later.
    """

    def __init__(
        self,
        *,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        sink: Sink,
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        self.name = name
        self._sink = sink
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._process = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**_inherited(), **_PYTHON, **environment},
            start_new_session=True,
            preexec_fn=die_with_parent(),  # only calls prctl, looked up before the fork
        )
        self._reader = threading.Thread(target=self._read, name=f"output of {name}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Exit status, negative for a signal; None while it runs."""
        return self._process.poll()

    def tail(self) -> list[str]:
        """Its last lines."""
        if self.status is not None:
            # Something it left behind may hold the pipe open, so do not wait for the end for ever.
            self._reader.join(0.5)
        return list(self._tail)

    def tell(self, line: str) -> bool:
        """Write the only line of its standard input; False if it has ended."""
        assert self._process.stdin is not None
        try:
            with self._process.stdin as pipe:
                pipe.write(line.encode() + b"\n")
        except OSError:
            return False
        return self.status is None

    def dismiss(self) -> None:
        """Tell it nothing."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def terminate(self) -> None:
        """Ask it to end."""
        if self.status is None:
            self._process.terminate()

    def kill(self) -> None:
        """End it and everything in its session's group, now."""
        if self.status is None:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end; False if it still runs."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as pipe:
            while raw := pipe.readline(_LONGEST_LINE_BYTES):
                text = raw.decode(errors="replace").rstrip()
                if text:
                    self._tail.append(text)
                    self._sink(self.name, text)


def _inherited() -> dict[str, str]:
    """Our environment without settings: `HEADRACE_WORKER_CLASSES__…` would win over what a child is given."""
    kept = "HEADRACE_CONFIG"
    return {k: v for k, v in os.environ.items() if k == kept or not k.startswith("HEADRACE_")}


_PYTHON = {"PYTHONPATH": str(CHECKOUT), "PYTHONUNBUFFERED": "1"}


def describe_status(status: int) -> str:
    """Say in words how a process ended."""
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status}"


def die_with_parent() -> Callable[[], None]:
    """A function for the child, between fork and exec, that makes the kernel kill it when its parent is gone."""
    if sys.platform != "linux":
        return lambda: None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return tie
