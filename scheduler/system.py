"""System: all processes of a one-machine Headrace, started, watched and ended by one owner."""

import logging
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from headrace.environments import as_environment
from headrace.errors import SettingsError
from headrace.keys import Keys
from headrace.redis_op import RedisOp
from headrace.settings import Settings
from headrace.sync_redis import SyncRedis
from headrace.webhooks import COURIER_CLASS
from scheduler.backends.process import ProcessBackend, spare_processes, worker_command
from scheduler.backends.spares import Spares
from scheduler.console import Console
from scheduler.embedded_server import EmbeddedServer, answers
from scheduler.processes import python_module
from scheduler.reconciler import Reconciler
from scheduler.service import Service
from scheduler.stop_signal import StopSignal
from scheduler.wishes import Wishes

log = logging.getLogger("headrace.up")

_TICK_S = 0.1
#: How often the wanted number of workers is read.
_LOOK_S = 0.1
_API_GRACE_S = 5.0
_SCHEDULER_GRACE_S = 6.0
_FLOWER_GRACE_S = 5.0
#: Longer than the courier gives to attempts under way.
_COURIER_GRACE_S = 8.0
_SERVER_GRACE_S = 10.0
#: Beyond the settings' grace, for a worker to tell that it gave up.
_WORKER_MARGIN_S = 5.0


class System:
    """The processes and what keeps them alive.

    Args:
        settings: of the system; children get them by environment.
        server: the Redis that belongs to us, None if it is somebody else's.
        console: gets everybody's output.
        stop: ends it all; asked twice, at once.
        with_flower: run Flower too.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        server: EmbeddedServer | None,
        console: Console,
        stop: StopSignal,
        with_flower: bool = False,
    ) -> None:
        self._settings = settings
        self._stop = stop
        self._keys = Keys(cell=settings.cell)
        self._connection = SyncRedis(url=settings.redis_url, timeout_s=1.0)
        environment = as_environment(settings)

        def service(name: str, command: list[str]) -> Service:
            return Service(name=name, command=command, environment=environment, sink=console.line)

        self._server = service("redis", server.command) if server else None
        count = settings.api_processes
        names = ["api"] if count == 1 else [f"api-{number}" for number in range(1, count + 1)]
        self._apis = [service(name, python_module("api")) for name in names]
        self._scheduler = service("scheduler", python_module("scheduler"))
        # Not one of the scaled classes: one courier serves thousands of events a minute, and none is never right.
        self._courier = service("courier", worker_command(COURIER_CLASS, f"courier-{secrets.token_hex(2)}"))
        self._flower = service("flower", python_module("deploy.flower")) if with_flower else None
        spares = {name: kind.warm_spares for name, kind in settings.worker_classes.items()}
        self._spares = Spares(counts=spares, make=spare_processes(environment=environment, sink=console.line))
        self._reconciler = Reconciler(
            backend=ProcessBackend(environment=environment, sink=console.line, spares=self._spares),
            drain_limit_s=settings.shutdown_grace_s + _WORKER_MARGIN_S,
        )
        self._wishes = Wishes(keys=self._keys, connection=self._connection)
        self._wanted: Mapping[str, int] = {name: kind.min_workers for name, kind in settings.worker_classes.items()}
        self._next_look_at = 0.0

    def run(self, *, when_ready: Callable[[], None]) -> None:
        """Start everything, call `when_ready` once the API answers, keep it alive until asked to stop, end it.

        Raises:
            SettingsError: if there is no Redis to work with.
        """
        try:
            if self._start_server():
                self._forget_old_wishes()
                self._watch(when_ready)
        finally:
            self._end()

    # --- start -----------------------------------------------------------------------------------------------

    def _start_server(self) -> bool:
        """Bring the server up; False if a stop was asked for meanwhile."""
        if self._server is None:
            if not answers(self._settings.redis_url):
                raise SettingsError(
                    f"no Redis answers at {self._settings.redis_url}; start it, or leave --redis out "
                    "to use the embedded one"
                )
            return True
        redis_folder(self._settings.data_dir).mkdir(parents=True, exist_ok=True)
        self._server.step(time.monotonic())
        # As long as it lives it may be reading a large append-only file.
        while not answers(self._settings.redis_url):
            if not self._server.is_running:
                raise SettingsError("the embedded Redis did not start: " + " ".join(self._server.tail()))
            if self._stop.wait(0.02):
                return False
        return True

    def _forget_old_wishes(self) -> None:
        """What an earlier scheduler wanted says nothing about this run."""
        self._connection.run(RedisOp(int, ("DEL", self._keys.desired)))

    # --- watch -----------------------------------------------------------------------------------------------

    def _watch(self, when_ready: Callable[[], None]) -> None:
        is_ready = False
        while True:
            self._step(time.monotonic())
            if not is_ready and _is_alive(self._settings.url):
                is_ready = True
                when_ready()
            if self._stop.wait(_TICK_S):
                log.info("stopping: API, workers, courier, scheduler, Redis; once more ends all at once")
                return

    def _step(self, now: float) -> None:
        for service in (self._server, *self._apis, self._scheduler, self._courier, self._flower):
            if service:
                service.step(now)
        if now >= self._next_look_at:
            self._look()
            self._next_look_at = now + _LOOK_S
        self._reconciler.step(self._wanted, now, self._wishes.seen)
        self._spares.step()

    def _look(self) -> None:
        self._wishes.look()
        desired, classes = self._wishes.desired, self._settings.worker_classes
        self._wanted = {name: desired.get(name, kind.min_workers) for name, kind in classes.items()}

    # --- end -------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        """End all in the order in which they need each other; a second request to stop ends what is left at once."""
        self._spares.close()
        if self._flower:
            self._end_service(self._flower, _FLOWER_GRACE_S)
        for api in self._apis:
            api.terminate()
        for api in self._apis:
            self._end_service(api, _API_GRACE_S)
        self._reconciler.drain_all(time.monotonic())
        limit_s = self._settings.shutdown_grace_s + _WORKER_MARGIN_S
        if not self._wait_for(self._reconciler.is_empty, limit_s):
            log.warning("workers that had not finished are killed; their jobs run again")
            self._reconciler.kill_all()
        self._end_service(self._courier, _COURIER_GRACE_S)
        self._end_service(self._scheduler, _SCHEDULER_GRACE_S)
        self._connection.close()
        if self._server:
            self._end_service(self._server, _SERVER_GRACE_S)

    def _end_service(self, service: Service, limit_s: float) -> None:
        service.terminate()
        if not self._wait_for(lambda: not service.is_running, limit_s):
            log.warning("%s did not end in time and is killed", service.name)
            service.kill()

    def _wait_for(self, is_done: Callable[[], bool], limit_s: float) -> bool:
        """Poll until done; False if the time is up or somebody is impatient."""
        until = time.monotonic() + limit_s
        while not is_done():
            if self._stop.count > 1 or time.monotonic() >= until:
                return False
            time.sleep(0.02)
        return True


def redis_folder(data_dir: Path) -> Path:
    """Where the embedded server keeps its append-only file."""
    return data_dir / "redis"


def _is_alive(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/livez", timeout=0.5) as answer:  # noqa: S310 - our own http URL
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
