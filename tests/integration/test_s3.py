"""The registry in a bucket: every promise of the local one, over S3's own protocol (a server of moto's)."""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headrace.errors import ModelFilesError, SettingsError, StoreUnavailable
from headrace.jobs import JobStatus
from headrace.model_ref import ModelRef
from registry.cache import object_path
from registry.object_store import ObjectStore
from registry.progress import Progress
from registry.registry import Registry
from tests.faults.proxy import Link, Way
from tests.integration.object_bucket import s3_server, use_bucket
from tests.integration.running_worker import RunningWorker
from tests.model_folder import DOUBLER, write_model

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of a server that speaks S3."""
    with s3_server(tmp_path_factory.mktemp("s3")) as port:
        yield port


@pytest.fixture
def link(port: int) -> Iterator[Link]:
    """The way to it, which can be cut."""
    with Link(target_port=port) as link:
        yield link


@pytest.fixture
def url(port: int, link: Link, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket of the test's own."""
    bucket = f"models-{hashlib.sha256(request.node.name.encode()).hexdigest()[:16]}"
    return use_bucket(bucket, port=port, through=link.port, monkeypatch=monkeypatch)


def test_a_pushed_version_is_fetched_elsewhere(url: str, tmp_path: Path) -> None:
    weights = os.urandom(12 << 20)
    folder = write_model(tmp_path / "doubler")
    (folder / "weights.bin").write_bytes(weights)

    manifest = Registry(url=url).push(folder, name="doubler").manifest
    fetched = Registry(url=url).fetch(manifest.ref, tmp_path / "cache")

    assert weights == (fetched / "weights.bin").read_bytes()


def test_a_worker_serves_a_model_from_the_bucket(url: str, tmp_path: Path) -> None:
    worker = RunningWorker(tmp_path, registry_url=url)
    try:
        [member] = worker.submit("hello")
        assert [JobStatus.SUCCEEDED] == worker.finish(member)
    finally:
        worker.close()

    assert list((tmp_path / "cache").glob("obedient@1-*/model.py")) != []


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


class Count(Progress):
    """Counts what moves."""

    def __init__(self) -> None:
        self.moved_bytes = 0

    def moved(self, size_bytes: int) -> None:
        self.moved_bytes += size_bytes


def test_a_transfer_that_breaks_off_again_and_again_goes_on_where_it_was(url: str, link: Link, tmp_path: Path) -> None:
    folder, weights = write_model(tmp_path / "doubler"), os.urandom(24 << 20)
    (folder / "weights.bin").write_bytes(weights)
    manifest = Registry(url=url).push(folder, name="doubler").manifest
    cuts, count = 0, Count()

    class Cutting(Count):
        def moved(self, size_bytes: int) -> None:
            nonlocal cuts
            count.moved(size_bytes)
            if cuts < 3:
                cuts += 1
                link.cut_after(1 << 20, Way.TO_CLIENT)

    fetched = Registry(url=url).fetch(manifest.ref, tmp_path / "cache", Cutting())

    assert weights == (fetched / "weights.bin").read_bytes()
    assert (3, manifest.size_bytes) == (cuts, count.moved_bytes)


def test_a_push_whose_connection_is_cut_goes_on(url: str, link: Link, tmp_path: Path) -> None:
    folder, weights = write_model(tmp_path / "doubler"), os.urandom(24 << 20)
    (folder / "weights.bin").write_bytes(weights)
    registry = Registry(url=url)
    registry.versions("doubler")
    link.cut_after(10 << 20, Way.TO_SERVER)

    manifest = registry.push(folder, name="doubler").manifest

    fetched = Registry(url=url).fetch(manifest.ref, tmp_path / "cache")
    assert weights == (fetched / "weights.bin").read_bytes()


def test_a_store_that_does_not_answer_is_said_so(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "")

    with pytest.raises(StoreUnavailable, match="does not answer"):
        Registry(url=url.replace("models-", "nowhere-")).push(write_model(tmp_path / "doubler"), name="doubler")
