"""Where back ends run workers, in tests: this machine, a container engine, a cluster."""

import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Protocol

import yaml

from headrace.worker_class import WorkerClass
from scheduler.backends.docker import DockerBackend, Likeness
from scheduler.backends.kubernetes import KubernetesBackend
from scheduler.backends.port import Backend, BackendState, BackendWorker
from scheduler.backends.process import ProcessBackend
from scheduler.backends.rest import Rest
from scheduler.reconciler import Reconciler, Seen
from tests.integration.docker_engine import DockerEngine
from tests.integration.kubernetes_server import NAMESPACE, KubernetesServer

DEPLOY = Path(__file__).parents[2] / "deploy" / "kubernetes"
CLASSES = {"gpu": WorkerClass(device="cuda"), "spot": WorkerClass()}
LIMIT_S = 20.0

#: Ends when it is told to, as a drained worker does.
PATIENT = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("ready", flush=True)
while True: signal.pause()
"""


class Place(Protocol):
    """Somewhere that workers run, in a test."""

    def owner(self) -> Backend:
        """A back end that leads there; each call is another owner."""

    def settle(self) -> None:
        """What was asked for happens: what starts is there, what drains has ended."""

    def crash(self, worker_id: str) -> None:
        """A worker ends that nobody asked to."""

    def close(self) -> None: ...


class ProcessPlace:
    """This machine."""

    def __init__(self, _folder: Path) -> None:
        self._ready: set[str] = set()
        self._backend = ProcessBackend(
            environment={},
            sink=lambda name, _: self._ready.add(name),
            command_of=lambda *_: [sys.executable, "-c", PATIENT],
        )
        self._listed: dict[str, BackendWorker] = {}

    def owner(self) -> Backend:
        return self._backend

    def settle(self) -> None:
        processes = [worker.process for worker in self._backend._workers.values()]
        draining = {view.id for view in (w.view() for w in self._backend._workers.values()) if view.state != "running"}
        wait_for(lambda: all(p.name in self._ready or p.status is not None for p in processes))
        wait_for(lambda: all(p.status is not None for p in processes if p.name in draining))

    def crash(self, worker_id: str) -> None:
        self._backend._workers[worker_id].process.kill()

    def close(self) -> None:
        for worker in self._backend.workers():
            self._backend.kill(worker.id)


class DockerPlace:
    """An engine, and the container that the owner runs in."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "docker.sock"
        self.engine = DockerEngine(self._socket)
        host = {
            "NetworkMode": "headrace_default",
            "Binds": ["data:/var/lib/headrace", "/var/run/docker.sock:/var/run/docker.sock"],
            "Mounts": [
                {"Type": "bind", "Source": "/secrets/redis_password", "Target": "/run/secrets/redis_password"},
                {"Type": "bind", "Source": "/run/docker.sock", "Target": "/run/docker.sock"},
            ],
            "RestartPolicy": {"Name": "always"},
        }
        self.engine.add(
            "headrace-owner-1",
            {"Image": "headrace:cpu", "Env": ["HEADRACE_CELL=c1"], "Labels": {}, "HostConfig": host},
            state="running",
        )
        self._rests: list[Rest] = []

    def owner(self) -> DockerBackend:
        rest = Rest("http://docker", socket=str(self._socket))
        self._rests.append(rest)
        likeness = Likeness.of_container(rest, "headrace-owner-1")
        return DockerBackend(rest=rest, cell="c1", classes=CLASSES, likeness=likeness, images={"gpu": "headrace:cuda"})

    def settle(self) -> None:
        for container in self.engine.containers.values():
            if "SIGTERM" in container.signals and container.state == "running":
                container.end(0)

    def crash(self, worker_id: str) -> None:
        container = self.engine.find(worker_id)
        assert container is not None
        container.lines = ["loading", "no such device"]
        container.end(3)

    def close(self) -> None:
        for rest in self._rests:
            rest.close()
        self.engine.close()


class KubernetesPlace:
    """A cluster, as the manifests set it up."""

    def __init__(self, folder: Path) -> None:
        documents = yaml.safe_load_all((DEPLOY / "owner.yaml").read_text())
        [rules] = [document["rules"] for document in documents if document["kind"] == "Role"]
        self.server = KubernetesServer(tuple(CLASSES), rules)
        self._token = folder / "token"
        self._token.write_text("secret\n")
        self._rests: list[Rest] = []

    def owner(self) -> KubernetesBackend:
        rest = Rest(self.server.url)
        self._rests.append(rest)
        return KubernetesBackend(rest=rest, namespace=NAMESPACE, classes=tuple(CLASSES), token_file=self._token)

    def settle(self) -> None:
        self.server.work()
        for name, pod in list(self.server.pods.items()):
            if "deletionTimestamp" in pod["metadata"]:
                self.server.end(name)

    def crash(self, worker_id: str) -> None:
        self.server.end(worker_id)

    def close(self) -> None:
        for rest in self._rests:
            rest.close()
        self.server.close()


def wait_for(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + LIMIT_S
    while not is_so():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.01)


def live(backend: Backend) -> list[tuple[str, str]]:
    """Class and state of each worker that has not ended."""
    return sorted((w.worker_class, w.state.value) for w in backend.workers() if w.state is not BackendState.ENDED)


def reconcile(place: Place, backend: Backend, wanted: dict[str, int], busy: Collection[str] = ()) -> None:
    """Step until there is nothing left to do."""
    reconciler = Reconciler(backend=backend, drain_limit_s=600)
    for now in range(4):
        reconciler.step(wanted, now, Seen(busy=busy))
        place.settle()


def http_of(place: DockerPlace | KubernetesPlace) -> DockerEngine | KubernetesServer:
    return place.engine if isinstance(place, DockerPlace) else place.server
