"""What every back end does, whoever runs the workers: processes of this machine, a container engine, a cluster."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.backends.port import Backend, BackendError, BackendState
from scheduler.backends.rest import Rest
from tests.integration.backend_places import (
    CLASSES,
    DockerPlace,
    KubernetesPlace,
    Place,
    ProcessPlace,
    http_of,
    live,
    reconcile,
)
from tests.integration.http_place import Answer


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
