"""What every back end does, whoever runs the workers: processes of this machine, a container engine, a cluster."""

import sys
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Protocol

import pytest
import yaml

from headrace.settings import Settings
from headrace.worker_class import WorkerClass
from scheduler.backends.docker import DockerBackend, Likeness
from scheduler.backends.kubernetes import KubernetesBackend
from scheduler.backends.port import Backend, BackendError, BackendState, BackendWorker
from scheduler.backends.process import ProcessBackend
from scheduler.backends.rest import Rest
from scheduler.reconciler import Reconciler, Seen
from tests.integration.docker_engine import DockerEngine
from tests.integration.http_place import Answer
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


@pytest.fixture(params=[ProcessPlace, DockerPlace, KubernetesPlace], ids=["process", "docker", "kubernetes"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    place = request.param(tmp_path)
    yield place
    place.close()


@pytest.fixture
def backend(place: Place) -> Backend:
    backend = place.owner()
    backend.workers()
    return backend


@pytest.fixture
def docker(tmp_path: Path) -> Iterator[DockerPlace]:
    place = DockerPlace(tmp_path)
    yield place
    place.close()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[KubernetesPlace]:
    place = KubernetesPlace(tmp_path)
    yield place
    place.close()


def live(backend: Backend) -> list[tuple[str, str]]:
    """Class and state of each worker that has not ended."""
    return sorted((w.worker_class, w.state.value) for w in backend.workers() if w.state is not BackendState.ENDED)


def reconcile(place: Place, backend: Backend, wanted: dict[str, int], busy: Collection[str] = ()) -> None:
    """Step until there is nothing left to do."""
    reconciler = Reconciler(backend=backend, drain_limit_s=600)
    for now in range(4):
        reconciler.step(wanted, now, Seen(busy=busy))
        place.settle()


# --- every back end


def test_a_started_worker_runs(place: Place, backend: Backend) -> None:
    backend.start("gpu", 1)
    place.settle()

    assert [("gpu", "running")] == live(backend)


def test_each_worker_has_a_name_of_its_own(place: Place, backend: Backend) -> None:
    for slot in (1, 2):
        backend.start("gpu", slot)
    backend.start("spot", 1)
    place.settle()

    workers = backend.workers()
    assert 3 == len({worker.id for worker in workers}) == len(workers)


def test_a_worker_that_was_just_started_is_listed_at_once(backend: Backend) -> None:
    backend.start("spot", 1)

    assert [("spot", "running")] == live(backend)


def test_a_drained_worker_finishes_is_listed_once_more_and_forgotten(place: Place, backend: Backend) -> None:
    backend.start("gpu", 1)
    place.settle()
    [worker] = backend.workers()

    backend.drain(worker.id)
    backend.drain(worker.id)
    place.settle()

    assert [(worker.id, BackendState.ENDED)] == [(w.id, w.state) for w in backend.workers()]
    assert [] == backend.workers()


def test_a_killed_worker_is_gone(place: Place, backend: Backend) -> None:
    backend.start("gpu", 1)
    place.settle()
    [worker] = backend.workers()

    backend.kill(worker.id)
    place.settle()

    assert [] == live(backend)


def test_a_worker_that_nobody_knows_can_be_drained_and_killed(backend: Backend) -> None:
    backend.drain("gpu-9")
    backend.kill("gpu-9")

    assert [] == backend.workers()


def test_a_worker_that_ended_by_itself_is_replaced(place: Place, backend: Backend) -> None:
    reconcile(place, backend, {"gpu": 2})
    [first, second] = backend.workers()

    place.crash(first.id)
    reconcile(place, backend, {"gpu": 2})

    after = backend.workers()
    assert [BackendState.RUNNING] * 2 == [worker.state for worker in after]
    assert first.id not in {worker.id for worker in after}
    assert second.id in {worker.id for worker in after}


def test_as_many_run_as_are_wanted(place: Place, backend: Backend) -> None:
    counts = []
    for wanted in ({"gpu": 3, "spot": 1}, {"gpu": 1, "spot": 2}, {"gpu": 0, "spot": 0}):
        reconcile(place, backend, wanted)
        classes = [name for name, _ in live(backend)]
        counts.append({name: classes.count(name) for name in CLASSES})

    assert [{"gpu": 3, "spot": 1}, {"gpu": 1, "spot": 2}, {"gpu": 0, "spot": 0}] == counts


def test_the_idle_go_first(place: Place, backend: Backend) -> None:
    reconcile(place, backend, {"gpu": 3})
    newest = max(backend.workers(), key=lambda worker: worker.number)

    reconcile(place, backend, {"gpu": 1}, busy={newest.id})

    assert [newest.id] == [worker.id for worker in backend.workers()]


# --- those that others own, too


@pytest.fixture(params=[DockerPlace, KubernetesPlace], ids=["docker", "kubernetes"])
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DockerPlace | KubernetesPlace]:
    place = request.param(tmp_path)
    yield place
    place.close()


def http_of(place: DockerPlace | KubernetesPlace) -> DockerEngine | KubernetesServer:
    return place.engine if isinstance(place, DockerPlace) else place.server


def test_workers_outlive_their_owner_and_the_next_one_knows_them(elsewhere: DockerPlace | KubernetesPlace) -> None:
    reconcile(elsewhere, elsewhere.owner(), {"gpu": 2})
    before = [worker.id for worker in elsewhere.owner().workers()]

    heir = elsewhere.owner()
    reconcile(elsewhere, heir, {"gpu": 2})

    assert 2 == len(before)
    assert before == [worker.id for worker in heir.workers()]


def test_two_owners_start_no_more_than_are_wanted(elsewhere: DockerPlace | KubernetesPlace) -> None:
    first, second = elsewhere.owner(), elsewhere.owner()
    first.workers()
    second.workers()

    first.start("gpu", 1)
    with pytest.raises(BackendError):
        second.start("gpu", 1)
    elsewhere.settle()

    assert [("gpu", "running")] == live(second)


def test_a_place_that_fails_is_an_error_and_nothing_is_forgotten(elsewhere: DockerPlace | KubernetesPlace) -> None:
    owner = elsewhere.owner()
    reconcile(elsewhere, owner, {"gpu": 1})
    [worker] = owner.workers()

    http_of(elsewhere).fault = Answer(500, {"message": "etcdserver: leader changed"})
    with pytest.raises(BackendError, match="500"):
        owner.workers()
    http_of(elsewhere).fault = None

    assert [worker] == owner.workers()


def test_a_place_that_is_not_there_is_an_error() -> None:
    rest = Rest("http://127.0.0.1:1")

    with pytest.raises(BackendError, match="GET"):
        rest.call("GET", "/")
    rest.close()


# --- Docker


def test_a_container_is_made_like_the_owners_own_but_does_not_get_the_engines_socket(docker: DockerPlace) -> None:
    worker = docker.owner().start("spot", 2)

    container = docker.engine.find(worker.id)
    assert container is not None
    document = container.document
    assert ("headrace:cpu", ["HEADRACE_CELL=c1"]) == (document["Image"], document["Env"])
    assert ["python", "-m", "workers", "--worker-class", "spot", "--name", worker.id] == document["Cmd"]
    assert {
        "NetworkMode": "headrace_default",
        "Binds": ["data:/var/lib/headrace"],
        "Mounts": [{"Type": "bind", "Source": "/secrets/redis_password", "Target": "/run/secrets/redis_password"}],
        "RestartPolicy": {"Name": "no"},
    } == document["HostConfig"]
    assert document["StopTimeout"] >= Settings().shutdown_grace_s + 15


def test_a_class_on_gpus_gets_them_and_its_own_image(docker: DockerPlace) -> None:
    container = docker.engine.find(docker.owner().start("gpu", 1).id)

    assert container is not None
    assert "headrace:cuda" == container.document["Image"]
    [request] = container.document["HostConfig"]["DeviceRequests"]
    assert ("nvidia", -1, [["gpu"]]) == (request["Driver"], request["Count"], request["Capabilities"])


def test_an_end_is_told_with_its_status_and_the_last_lines(docker: DockerPlace) -> None:
    owner = docker.owner()
    worker = owner.start("spot", 1)

    docker.crash(worker.id)
    [ended] = owner.workers()

    assert ("ended with status 3", ("loading", "no such device")) == (ended.ending, ended.last_lines)
    assert None is docker.engine.find(worker.id)


def test_a_class_without_an_image_keeps_no_other_from_starting(docker: DockerPlace) -> None:
    docker.engine.images.remove("headrace:cuda")
    reconciler = Reconciler(backend=docker.owner(), drain_limit_s=600)

    with pytest.raises(BackendError, match=r"gpu: .*No such image: headrace:cuda"):
        reconciler.step({"gpu": 2, "spot": 1}, 0.0)

    assert [("spot", "running")] == live(docker.owner())


def test_a_container_that_was_made_and_not_started_is_cleared_away(docker: DockerPlace) -> None:
    owner = docker.owner()
    worker = owner.start("spot", 1)
    container = docker.engine.find(worker.id)
    assert container is not None
    container.state = "created"

    [ended] = docker.owner().workers()

    assert "was never started" == ended.ending
    assert [] == docker.owner().workers()


def test_an_image_that_is_not_there_is_named_and_leaves_nothing_behind(docker: DockerPlace) -> None:
    owner = docker.owner()
    docker.engine.images.clear()

    with pytest.raises(BackendError, match="No such image: headrace:cpu"):
        owner.start("spot", 1)

    assert [] == owner.workers()


# --- Kubernetes


def test_the_pod_that_is_drained_is_the_one_that_goes(cluster: KubernetesPlace) -> None:
    owner = cluster.owner()
    reconcile(cluster, owner, {"gpu": 3})
    oldest, middle, newest = sorted(owner.workers(), key=lambda worker: worker.number)

    owner.drain(middle.id)
    cluster.settle()

    assert {oldest.id, newest.id} == set(cluster.server.pods)


def test_a_number_that_somebody_else_has_changed_is_left_alone(cluster: KubernetesPlace) -> None:
    owner = cluster.owner()
    owner.workers()
    cluster.server.conflicts, cluster.server.rival = 1, {"gpu": 5}

    with pytest.raises(BackendError, match="is to have 5 by now"):
        owner.start("gpu", 1)

    assert 5 == cluster.server.replicas["gpu"]


def test_a_conflict_about_something_else_is_none(cluster: KubernetesPlace) -> None:
    owner = cluster.owner()
    owner.workers()
    cluster.server.conflicts = 3

    owner.start("gpu", 1)

    assert 1 == cluster.server.replicas["gpu"]


def test_pods_that_are_slow_to_appear_are_not_asked_for_twice(cluster: KubernetesPlace) -> None:
    cluster.server.is_slow = True

    reconcile(cluster, cluster.owner(), {"gpu": 2})

    assert {"gpu": 2, "spot": 0} == cluster.server.replicas


def test_pods_that_have_not_appeared_yet_are_given_up_first(cluster: KubernetesPlace) -> None:
    owner = cluster.owner()
    reconcile(cluster, owner, {"gpu": 1})
    [worker] = owner.workers()
    cluster.server.is_slow = True
    reconcile(cluster, owner, {"gpu": 2})

    reconcile(cluster, owner, {"gpu": 1})

    assert [worker.id] == list(cluster.server.pods)
    assert "annotations" not in cluster.server.pods[worker.id]["metadata"]


def test_a_pod_that_its_controller_replaced_is_no_reason_to_start_another(cluster: KubernetesPlace) -> None:
    owner = cluster.owner()
    reconcile(cluster, owner, {"gpu": 1})
    [worker] = owner.workers()

    cluster.crash(worker.id)
    cluster.settle()
    reconcile(cluster, owner, {"gpu": 1})

    assert {"gpu": 1, "spot": 0} == cluster.server.replicas
