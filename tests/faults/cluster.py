"""A whole system of real processes on free ports, started by their real entry points, to be broken by tests."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx2

from bench.service import Service
from headrace.environments import as_environment
from headrace.failpoints import FAILPOINTS
from headrace.keys import Keys
from headrace.model_ref import ModelRef
from headrace.presence import ModelState, WorkerPresence, WorkerState
from headrace.redis_op import RedisOp, Reply
from headrace.settings import Settings
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from headrace.webhooks import COURIER_CLASS
from headrace.worker_class import WorkerClass
from registry.registry import Registry
from scheduler.embedded_server import EmbeddedServer, free_port

MODEL_FOLDER = Path(__file__).parent / "models" / "exact"

LEASE_MS = 2_000
REAP_INTERVAL_MS = 200
FORWARD_LIMIT_S = 2.0
_START_LIMIT_S = 60.0


class FaultyServer(EmbeddedServer):
    """A server that may be given a disk without space: a write over the file size limit fails instead of killing it."""

    @property
    def command(self) -> list[str]:
        """The program, told to ignore the signal that comes with such a write."""
        return ["env", "--ignore-signal=XFSZ", *super().command]


class Cluster:
    """Server, API, scheduler and workers; each process's output lies in `folder`.

    Args:
        folder: where everything is written.
        options: of the server, on top of those of `EmbeddedServer`.
        lease_ms: of jobs.
    """

    def __init__(self, *, folder: Path, options: Mapping[str, str] | None = None, lease_ms: int = LEASE_MS) -> None:
        self.folder = folder
        # Never rewritten, the append-only file is a record of everything (see `audit`).
        every_option = {"auto-aof-rewrite-percentage": "0", **(options or {})}
        self.server: EmbeddedServer = FaultyServer(folder=folder / "redis", port=free_port(), options=every_option)
        api_port = free_port()
        self.settings = Settings(
            redis_url=self.server.url,
            data_dir=folder / "data",
            api_port=api_port,
            url=f"http://127.0.0.1:{api_port}",
            lease_ms=lease_ms,
            reap_interval_ms=REAP_INTERVAL_MS,
            leader_ttl_ms=1_000,
            forward_limit_s=FORWARD_LIMIT_S,
            shutdown_grace_s=5,
            registry_poll_s=0.5,
            progress_interval_s=0.1,
            worker_classes={"test": WorkerClass()},
            webhook_allow_networks=("127.0.0.0/8",),
            webhook_timeout_s=1.5,
        )
        self.armed = folder / "armed"
        self.armed.mkdir(parents=True)
        self.store = JobStore(Keys(cell=self.settings.cell))
        self.redis = SyncRedis(url=self.server.url)
        self.registry = Registry(url=self.settings.registry_location)
        self._services: list[Service] = []
        self._child_pids: set[int] = set()

    def start_server(self) -> None:
        """Start Redis, or start it again on the data it left."""
        self.server.start()

    def restart_server(self, *, down_s: float) -> None:
        """Kill Redis as a crash would, and start it again on its append-only file after `down_s`."""
        self.server.kill()
        time.sleep(down_s)
        self.server.start()

    def push_model(self, name: str = "exact") -> ModelRef:
        """Publish the exact function."""
        return self.registry.push(MODEL_FOLDER, name=name).manifest.ref

    # --- steps at which a process dies, stops or fails

    def arm(self, step: str, act: str) -> None:
        """Let it happen to the next process that reaches a step (see `headrace.failpoints`)."""
        assert step in FAILPOINTS
        draft = self.folder / "act"
        draft.write_text(act)
        draft.rename(self.armed / step)

    def disarm(self) -> None:
        """Let nothing more happen, and forget what has."""
        for file in self.armed.iterdir():
            file.unlink(missing_ok=True)

    def fired(self, step: str) -> int | None:
        """Process id of whom it happened to; None if it has not yet."""
        names = (file.name for file in self.armed.glob(f"{step}.fired-*"))
        return next((int(name.rpartition("-")[2]) for name in names), None)

    # --- processes

    def start_api(self) -> Service:
        """Start the API and wait until it is ready."""
        api = self.spawn("api")
        api.wait_for("ready", self.api_is_ready, limit_s=_START_LIMIT_S)
        return api

    def start_scheduler(self) -> Service:
        """Start a scheduler and wait until one leads."""
        scheduler = self.spawn("scheduler")
        leads = RedisOp(bool, ("EXISTS", self.store.keys.leader))
        scheduler.wait_for("leading", lambda: self.redis.run(leads), limit_s=_START_LIMIT_S)
        return scheduler

    def start_worker(self, name: str, *, serving: ModelRef | None, redis_url: str = "") -> Service:
        """Start a worker and wait until it serves `serving` (or, with None, only until it speaks)."""
        worker = self.spawn_worker(name, redis_url=redis_url)
        worker.wait_for("serving", lambda: self.serves(worker, serving), limit_s=_START_LIMIT_S)
        return worker

    def serves(self, worker: Service, ref: ModelRef | None) -> bool:
        """Tell whether a worker serves `ref` (or, with None, only whether it speaks)."""
        presence = self.presence_of(worker)
        if presence is None or presence.state is WorkerState.DRAINING:
            return False
        return ref is None or is_ready(presence, ref)

    def spawn_courier(self) -> Service:
        """Start a courier and do not wait for it."""
        return self.spawn_worker("courier", worker_class=COURIER_CLASS)

    def spawn_worker(self, name: str, *, worker_class: str = "test", redis_url: str = "") -> Service:
        """Start a worker and do not wait for it."""
        return self.spawn("workers", "--worker-class", worker_class, "--name", name, redis_url=redis_url)

    def presence_of(self, worker: Service) -> WorkerPresence | None:
        """What the worker says of itself, if it does."""
        return next((found for found in self.presences() if found.pid == worker.pid), None)

    def presences(self) -> list[WorkerPresence]:
        """What all workers say of themselves."""
        keys = self.store.keys
        names = self.redis.run(RedisOp(list[bytes], ("ZRANGE", keys.workers, 0, -1)))
        raws = [self.redis.run(RedisOp(_as_is, ("GET", keys.worker(name.decode())))) for name in names]
        found = [WorkerPresence.from_bytes(raw) for raw in raws if raw is not None]
        self._child_pids |= {presence.child_pid for presence in found if presence.child_pid}
        return found

    def child_pid(self, worker: Service) -> int:
        """The process in which the worker's model runs."""
        presence = self.presence_of(worker)
        assert presence is not None
        assert presence.child_pid is not None
        return presence.child_pid

    def close(self) -> None:
        """End every process, also the children of killed workers."""
        for service in reversed(self._services):
            if service.is_running:
                _signal_group(service.pid, signal.SIGTERM)
        for service in self._services:
            service.close()
        for pid in self._child_pids:
            if b"workers.child" in _command_line(pid):
                _signal_group(pid, signal.SIGKILL)
        self.redis.close()
        self.server.kill()

    def spawn(self, module: str, *arguments: str, redis_url: str = "") -> Service:
        """Start a process and do not wait for it; `redis_url` is where it finds Redis, if not directly."""
        settings = self.settings.model_copy(update={"redis_url": redis_url or self.server.url})
        service = Service(
            command=[sys.executable, "-m", module, *arguments],
            log=self.folder / f"{'-'.join((module, *arguments[3:]))}.log",
            environment={
                **as_environment(settings),
                "HEADRACE_FAILPOINTS": f"@{self.armed}",
                "EXACT_LOG": str(self.executions),
            },
        )
        self._services.append(service)
        return service

    @property
    def executions(self) -> Path:
        """Where the model notes each execution."""
        return self.folder / "executions.log"

    def api_is_ready(self) -> bool:
        """Tell whether the API takes jobs."""
        try:
            return httpx2.get(f"{self.settings.url}/readyz", timeout=2).is_success
        except httpx2.TransportError:
            return False


def is_ready(presence: WorkerPresence, ref: ModelRef) -> bool:
    """Tell whether a worker has loaded a model."""
    model = presence.models.get(str(ref))
    return model is not None and model.state is ModelState.READY


def poll(what: str, is_so: Callable[[], bool], *, limit_s: float = 30.0) -> float:
    """Return once `is_so`; answers the seconds it took.

    Raises:
        AssertionError: after `limit_s`.
    """
    began_s = time.monotonic()
    while not is_so():
        assert time.monotonic() - began_s < limit_s, f"not {what} after {limit_s:g} s"
        time.sleep(0.01)
    return time.monotonic() - began_s


def mapped_files(pid: int) -> set[str]:
    """Every file that a process has mapped, its libraries among them."""
    return {line.split()[-1] for line in Path(f"/proc/{pid}/maps").read_text().splitlines()}


def is_alive(pid: int) -> bool:
    """Tell whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children_of(pid: int) -> list[int]:
    """The processes of models that a worker has, the oldest first: the one that most share, then own ones."""
    try:
        started = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(child) for child in started if b"workers.child" in _command_line(int(child)) and is_alive(int(child))]


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


def _as_is(reply: Reply) -> bytes | None:
    return None if reply is None else bytes(reply)
