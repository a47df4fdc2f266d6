"""What the back end of a container engine does beside what every back end does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.settings import Settings
from scheduler.backends.port import BackendError
from scheduler.reconciler import Reconciler
from tests.integration.backend_places import DockerPlace, live


@pytest.fixture
def docker(tmp_path: Path) -> Iterator[DockerPlace]:
    place = DockerPlace(tmp_path)
    yield place
    place.close()


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
