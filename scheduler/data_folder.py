"""DataFolder: one `headrace up` at a time works on a data folder."""

import fcntl
from pathlib import Path
from types import TracebackType
from typing import Self

from headrace.errors import SettingsError
from headrace.running import RunningSystem, announce, find_running, withdraw


class DataFolder:
    """A data folder, ours while the context lasts.

    The lock belongs to the open file, so it goes with the process however that ends; children do not inherit it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> Self:
        """Take the folder.

        Raises:
            SettingsError: if another process has it, or it cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = (self.path / "up.lock").open("w")
        except OSError as error:
            raise SettingsError(
                f"the data folder {self.path} cannot be written ({error.strerror}); choose another with --data-dir"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise SettingsError(self._taken()) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the folder back."""
        withdraw(self.path)
        self._lock.close()

    def announce(self, running: RunningSystem) -> None:
        """Let commands on this machine find the system."""
        announce(self.path, running)

    def _taken(self) -> str:
        running = find_running(self.path)
        who = f" (process {running.pid}, API at {running.url})" if running else ""
        return (
            f"another `headrace up` works on {self.path}{who}; "
            "end it, or start this one on another folder with --data-dir"
        )
