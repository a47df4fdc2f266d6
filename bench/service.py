"""A process that a benchmark starts, with its output in a file, and ends whatever happens."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parents[1]


class ServiceFailed(RuntimeError):
    """Raised when a measured process ended, or did not do in time what was waited for."""


class Service:
    """One running command in its own process group.

    Args:
        command: program and arguments.
        log: file that takes its output.
        environment: variables on top of our own.
    """

    def __init__(self, *, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """True until it ended."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End it as a crash would: this process alone, at once."""
        self._process.kill()
        self._process.wait()

    def terminate(self, *, limit_s: float) -> int:
        """Ask it to end; answers its exit code.

        Raises:
            subprocess.TimeoutExpired: if it is still there after `limit_s`.
        """
        self._process.terminate()
        return self._process.wait(limit_s)

    def wait_for(self, what: str, is_so: Callable[[], bool], *, limit_s: float, pause_s: float = 0.02) -> None:
        """Return once `is_so`; looks every `pause_s`.

        Raises:
            ServiceFailed: after `limit_s`, or when the process ended, with the end of its output.
        """
        until = time.monotonic() + limit_s
        while not is_so():
            if self._process.poll() is not None:
                raise ServiceFailed(f"{self._ended()} while waiting until {what}\n{self._tail()}")
            if time.monotonic() > until:
                raise ServiceFailed(f"not {what} after {limit_s:g} s\n{self._tail()}")
            time.sleep(pause_s)

    def _ended(self) -> str:
        return f"process {self.pid} ended with {self._process.returncode}"

    def _tail(self) -> str:
        return self.log.read_text(errors="replace")[-2000:]

    def close(self) -> None:
        """End it in order, and by force after ten seconds."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
