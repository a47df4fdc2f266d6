"""The registry in a bucket: every promise of the local one, over S3's own protocol (a server of moto's)."""

import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from headrace.errors import ModelFilesError, SettingsError
from headrace.model_ref import ModelRef
from registry.cache import object_path
from registry.object_store import ObjectStore
from registry.registry import Registry
from scheduler.embedded_server import free_port
from tests.faults.cluster import poll
from tests.model_folder import DOUBLER, write_model

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that speaks S3, in a process of its own."""
    port = free_port()
    log = (tmp_path_factory.mktemp("s3") / "log").open("wb")
    with (
        log,
        subprocess.Popen([sys.executable, "-m", "moto.server", "-p", str(port)], stdout=log, stderr=log) as server,
    ):
        poll("S3 listens", lambda: is_listening(port))
        yield f"http://127.0.0.1:{port}"
        server.kill()


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def url(endpoint: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket of the test's own."""
    bucket = f"models-{hashlib.sha256(request.node.name.encode()).hexdigest()[:16]}"
    httpx2.put(f"{endpoint}/{bucket}").raise_for_status()
    for name, value in {
        "AWS_ENDPOINT": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "anybody",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    return f"s3://{bucket}/headrace"


def test_a_pushed_version_is_fetched_elsewhere(url: str, tmp_path: Path) -> None:
    weights = os.urandom(12 << 20)
    folder = write_model(tmp_path / "doubler")
    (folder / "weights.bin").write_bytes(weights)

    manifest = Registry(url=url).push(folder, name="doubler").manifest
    fetched = Registry(url=url).fetch(manifest.ref, tmp_path / "cache")

    assert weights == (fetched / "weights.bin").read_bytes()


def test_of_sixteen_publishers_one_gets_each_number(url: str, tmp_path: Path) -> None:
    folders = [write_model(tmp_path / f"m{i}", DOUBLER.replace("max_batch=8", f"max_batch={i}")) for i in range(1, 17)]

    def push(folder: Path) -> int:
        return Registry(url=url).push(folder, name="doubler").manifest.version

    with ThreadPoolExecutor(16) as pool:
        versions = sorted(pool.map(push, folders))

    registry = Registry(url=url)
    assert list(range(1, 17)) == versions == registry.versions("doubler")
    assert [entry.seq for entry in registry.log.entries("doubler")] == list(range(1, 17))


def test_releases_roll_back(url: str, tmp_path: Path) -> None:
    registry = Registry(url=url)
    for size in (1, 2):
        folder = write_model(tmp_path / "doubler", DOUBLER.replace("max_batch=8", f"max_batch={size}"))
        registry.push(folder, name="doubler", release=size == 1)
    registry.canary(ModelRef("doubler", 2), percent=10)

    registry.log.roll_back("doubler")

    assert Registry(url=url).releases()["doubler"].routes == {1: 100}


def test_a_corrupt_object_is_refused_by_name(url: str, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "doubler", files={"weights.bin": "0123456789"})
    manifest = Registry(url=url).push(folder, name="doubler").manifest
    digest = next(file.sha256 for file in manifest.files if file.path == "weights.bin")
    ObjectStore(url=url).put_stream(object_path(digest), iter([b"0123456780"]))

    with pytest.raises(ModelFilesError, match=r"weights\.bin"):
        Registry(url=url).fetch(manifest.ref, tmp_path / "cache")


def test_a_store_that_lets_the_second_writer_win_is_refused_before_anything_is_written(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replaces(store: ObjectStore, path: str, body: bytes) -> bool:
        store.put_stream(path, iter([body]))
        return True

    monkeypatch.setattr(ObjectStore, "_put_new", replaces)

    with pytest.raises(SettingsError, match="lets a second writer replace the first"):
        Registry(url=url).push(write_model(tmp_path / "doubler"), name="doubler")

    assert Registry(url=url).versions("doubler") == []
