"""The owner of workers that run elsewhere: carries out what the scheduler wants, and may be killed."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.environments import as_environment
from headrace.keys import Keys
from headrace.settings import Settings
from headrace.sync_redis import SyncRedis
from scheduler.owner import Owner
from scheduler.wishes import Wishes
from tests.integration.backend_places import KubernetesPlace, wait_for
from tests.integration.http_place import Answer
from tests.integration.kubernetes_server import NAMESPACE

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[KubernetesPlace]:
    place = KubernetesPlace(tmp_path)
    yield place
    place.close()


@pytest.fixture
def owner(cluster: KubernetesPlace, keys: Keys, connection: SyncRedis) -> Owner:
    wishes = Wishes(keys=keys, connection=connection)
    return Owner(backend=cluster.owner(), wishes=wishes, classes=("gpu", "spot"), drain_limit_s=60)


def want(connection: SyncRedis, keys: Keys, **counts: str) -> None:
    for name, count in counts.items():
        connection.client.hset(keys.desired, name, count)


def test_what_is_wanted_is_carried_out(
    owner: Owner, cluster: KubernetesPlace, keys: Keys, connection: SyncRedis
) -> None:
    want(connection, keys, gpu="2", spot="1")

    owner.step(0.0)

    assert {"gpu": 2, "spot": 1} == cluster.server.replicas


def test_garbage_among_the_numbers_changes_nothing(
    owner: Owner, cluster: KubernetesPlace, keys: Keys, connection: SyncRedis
) -> None:
    want(connection, keys, gpu="2", spot="1")
    owner.step(0.0)
    want(connection, keys, gpu="3", spot="many")

    assert owner.step(1.0)

    assert {"gpu": 2, "spot": 1} == cluster.server.replicas


def test_while_nobody_has_decided_what_runs_is_left_as_it_is(owner: Owner, cluster: KubernetesPlace) -> None:
    cluster.server.replicas["gpu"] = 3

    assert owner.step(0.0)

    assert {"gpu": 3, "spot": 0} == cluster.server.replicas


def test_a_place_that_fails_is_said_once_and_tried_again(
    owner: Owner, cluster: KubernetesPlace, keys: Keys, connection: SyncRedis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    want(connection, keys, gpu="1", spot="0")
    cluster.server.fault = Answer(503)

    failed = [owner.step(now) for now in range(3)]
    cluster.server.fault = None

    assert [False] * 3 == failed
    assert owner.step(3.0)
    assert 1 == caplog.text.count("cannot be changed")
    assert 1 == cluster.server.replicas["gpu"]


def test_an_owner_that_is_killed_leaves_its_workers_and_the_next_one_goes_on(
    cluster: KubernetesPlace, keys: Keys, connection: SyncRedis, redis_url: str, tmp_path: Path
) -> None:
    settings = Settings(redis_url=redis_url, cell=keys.cell, data_dir=tmp_path, worker_classes={"gpu": {}, "spot": {}})
    account = ["--server", cluster.server.url, "--namespace", NAMESPACE, "--account", str(tmp_path)]
    command = [sys.executable, "-m", "scheduler.owner", "kubernetes", *account]
    environment = dict(os.environ) | as_environment(settings)

    want(connection, keys, gpu="2", spot="0")
    with subprocess.Popen(command, env=environment) as first:
        wait_for(lambda: cluster.server.replicas["gpu"] == 2)
        first.kill()
    after_the_kill = dict(cluster.server.replicas)
    want(connection, keys, gpu="1", spot="0")
    with subprocess.Popen(command, env=environment) as second:
        wait_for(lambda: cluster.server.replicas["gpu"] == 1)
        second.send_signal(signal.SIGTERM)

    assert {"gpu": 2, "spot": 0} == after_the_kill
    assert (-signal.SIGKILL, 0) == (first.returncode, second.returncode)
    assert {"gpu": 1, "spot": 0} == cluster.server.replicas
