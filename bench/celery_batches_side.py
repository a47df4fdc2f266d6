"""celery-batches draining a backlog: a worker of its own environment, on a server like ours."""

import subprocess
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from bench.meter import Drained, Meter
from bench.service import Service
from bench.venv import make_venv
from scheduler.embedded_server import EmbeddedServer

_HERE = Path(__file__).parent
_REQUIREMENTS = _HERE / "celery-batches.txt"
_QUEUE = "noop"
_STAGED = "staged"
_START_LIMIT_S = 60.0
_DRAIN_LIMIT_S = 120.0


class CeleryBatchesSide:
    """A worker with the threads pool, batches of 64, results in its Redis back end.

    Args:
        folder: where its output goes.
        server: a running server that it has for itself.
    """

    def __init__(self, *, folder: Path, server: EmbeddedServer) -> None:
        #: What runs its programs, and how they find the server.
        self.python = str(make_venv("celery-batches", _REQUIREMENTS))
        self.environment = {"BENCH_REDIS_URL": server.url, "PYTHONPATH": str(_HERE)}
        self._folder = folder
        self._client = redis.Redis.from_url(server.url)
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self._client.close)
            self._worker = stack.enter_context(self._start_worker())
            self._worker.wait_for("listening", self._is_listening, limit_s=_START_LIMIT_S)
            self._resources = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._resources.close()

    def drain(self, jobs: int) -> Drained:
        """Measure from the moment a backlog appears until the last result is stored."""
        last_id = self._stage(jobs)
        meter = Meter(client=self._client, pids={"worker": self._worker.pid})
        self._client.rename(_STAGED, _QUEUE)
        result = f"celery-task-meta-{last_id}"
        self._worker.wait_for(
            "drained",
            lambda: bool(self._client.exists(result)),
            limit_s=_DRAIN_LIMIT_S,
            pause_s=0.005,
        )
        return meter.read(jobs)

    def _start_worker(self) -> Service:
        options = ("-P", "threads", "-c", "1", "--without-mingle", "--without-gossip", "-l", "WARNING")
        return Service(
            command=[self.python, "-m", "celery", "-A", "celery_batches_app", "worker", *options],
            log=self._folder / "celery-batches.log",
            environment=self.environment,
        )

    def _is_listening(self) -> bool:
        return int(self._client.info("clients")["blocked_clients"]) > 0

    def _stage(self, jobs: int) -> str:
        done = subprocess.run(
            [self.python, str(_HERE / "celery_batches_app.py"), str(jobs)],
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()


def competitor_versions() -> dict[str, str]:
    """The pins of the competitor's environment, told apart from ours by their names."""
    pins = (line.split("==") for line in _REQUIREMENTS.read_text().splitlines() if "==" in line)
    return {f"celery-batches side: {name}": version for name, version in pins}
