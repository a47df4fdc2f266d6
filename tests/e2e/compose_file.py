"""Reads docker-compose.yml and starts what it says as plain processes of this machine."""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parents[2]


def read_compose() -> dict[str, Any]:
    """The file, anchors and merges resolved."""
    document: dict[str, Any] = yaml.safe_load((CHECKOUT / "docker-compose.yml").read_text())
    return document


class LocalService:
    """One service of the file as a process here.

    Args:
        name: of the service.
        spec: what the file says about it.
        places: what stands for the container's hosts, ports and folders, in order of replacement.
        bin_folder: comes first on the PATH.
        log: gets its output.
    """

    def __init__(
        self, *, name: str, spec: Mapping[str, Any], places: Mapping[str, str], bin_folder: Path, log: Path
    ) -> None:
        self.name = name
        self.log = log
        self._spec = spec
        self._places = places
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
        path = os.pathsep.join([str(bin_folder), str(Path(sys.executable).parent), kept["PATH"]])
        given = {name: self._local(str(value)) for name, value in spec.get("environment", {}).items()}
        self._environment = {**kept, **given, "PATH": path}
        self.process: subprocess.Popen[bytes] | None = None

    def _local(self, text: str) -> str:
        for container, here in self._places.items():
            text = text.replace(container, here)
        # Compose's way to write one dollar.
        return text.replace("$$", "$")

    def start(self, extra: Mapping[str, str]) -> None:
        """Run its command, with these variables besides its own."""
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [self._local(word) for word in (*self._spec.get("entrypoint", ()), *self._spec["command"])],
                env={**self._environment, **extra},
                cwd=CHECKOUT,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self._environment = {**self._environment, **extra}

    def check(self) -> int:
        """Run its health check; answers the exit status."""
        kind, *words = self._spec["healthcheck"]["test"]
        words = [self._local(word) for word in words]
        command: Sequence[str] = ["sh", "-c", *words] if kind == "CMD-SHELL" else words
        return subprocess.run(
            command, env=self._environment, cwd=CHECKOUT, capture_output=True, timeout=60, check=False
        ).returncode

    def terminate(self) -> None:
        """Ask it to end, once, as the engine does."""
        assert self.process is not None
        self.process.terminate()

    def wait(self, limit_s: float) -> int:
        """Wait for its end; answers the exit status."""
        assert self.process is not None
        try:
            return self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def said(self) -> str:
        """Its command and output, for who must find out what went wrong."""
        return f"{self.name}: {shlex.join(self._spec['command'])}\n{self.log.read_text()}"
