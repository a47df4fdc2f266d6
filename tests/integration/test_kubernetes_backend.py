"""What the back end of a cluster does beside what every back end does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.backends.port import BackendError
from tests.integration.backend_places import KubernetesPlace, reconcile


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[KubernetesPlace]:
    place = KubernetesPlace(tmp_path)
    yield place
    place.close()


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
