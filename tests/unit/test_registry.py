"""The registry keeps versions and releases whole, whoever else publishes or whatever is damaged."""

import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from headrace.errors import InvalidModel, ModelFilesError, ModelNotFound, SettingsError
from headrace.model_ref import ModelRef
from registry.cache import object_path
from registry.manifest import FileEntry
from registry.object_store import ObjectStore
from registry.registry import Registry
from registry.verified import Verified
from tests.model_folder import DOUBLER, write_model


@pytest.fixture
def url(tmp_path: Path) -> str:
    return (tmp_path / "a store").as_uri()


@pytest.fixture
def registry(url: str) -> Registry:
    return Registry(url=url)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_model(tmp_path / "doubler", files={"weights/w.bin": "0123456789"})


@pytest.fixture
def stored(registry: Registry, folder: Path, tmp_path: Path) -> Path:
    """The stored object of `weights/w.bin` of doubler@1."""
    manifest = registry.push(folder, name="doubler").manifest
    entry = next(file for file in manifest.files if file.path == "weights/w.bin")
    return tmp_path / "a store" / object_path(entry.sha256)


REF = ModelRef("doubler", 1)


def test_a_push_makes_the_next_version_and_releases_it(registry: Registry, folder: Path) -> None:
    first = registry.push(folder, name="doubler")
    write_model(folder, DOUBLER.replace("max_batch=8", "max_batch=9"))
    second = registry.push(folder, name="doubler")

    assert (first.is_new, first.manifest.version, second.is_new, second.manifest.version) == (True, 1, True, 2)
    assert registry.versions("doubler") == [1, 2]
    assert {"doubler": ModelRef("doubler", 2)} == {name: r.current for name, r in registry.releases().items()}


def test_the_same_content_is_no_new_version(registry: Registry, folder: Path) -> None:
    first = registry.push(folder, name="doubler")
    again = registry.push(folder, name="doubler")

    assert (first.manifest, False) == again
    assert registry.releases()["doubler"].seq == 1


def test_a_version_pushed_without_release_gets_no_traffic_until_it_is_pushed_with(
    registry: Registry, folder: Path
) -> None:
    registry.push(folder, name="doubler", release=False)
    before = registry.releases()
    registry.push(folder, name="doubler")

    assert before == {}
    assert registry.releases()["doubler"].routes == {1: 100}


def test_another_process_sees_what_was_pushed(registry: Registry, url: str, folder: Path) -> None:
    pushed = registry.push(folder, name="doubler").manifest

    other = Registry(url=url)

    assert pushed == other.manifest(REF)
    assert pushed.digest == other.manifest(REF).digest
    assert registry.releases() == other.releases()


def test_publishers_that_race_get_versions_without_gaps_and_a_release_each(url: str, tmp_path: Path) -> None:
    folders = [write_model(tmp_path / f"m{i}", DOUBLER.replace("max_batch=8", f"max_batch={i}")) for i in range(1, 9)]

    def push(folder: Path) -> int:
        return Registry(url=url).push(folder, name="doubler").manifest.version

    with ThreadPoolExecutor(8) as pool:
        versions = sorted(pool.map(push, folders))

    registry = Registry(url=url)
    assert list(range(1, 9)) == versions == registry.versions("doubler")
    assert registry.releases()["doubler"].seq == 8


def test_releasing_an_older_version_appends_its_table(registry: Registry, folder: Path) -> None:
    registry.push(folder, name="doubler")
    write_model(folder, DOUBLER.replace("max_batch=8", "max_batch=9"))
    registry.push(folder, name="doubler")

    release = registry.release(REF, why="rollback")

    assert (release.seq, release.routes, release.why) == (3, {1: 100}, "rollback")
    assert registry.releases()["doubler"].current == REF


def test_a_damaged_release_leaves_the_one_before_in_force_and_the_log_open(
    registry: Registry, folder: Path, tmp_path: Path
) -> None:
    registry.push(folder, name="doubler")
    registry.releases()
    (tmp_path / "a store/models/doubler/releases/00000002.json").write_text("{")

    assert registry.releases()["doubler"].seq == 1
    write_model(folder, DOUBLER.replace("max_batch=8", "max_batch=9"))
    registry.push(folder, name="doubler")
    assert registry.releases()["doubler"].seq == 3


def test_fetch_lays_out_the_files_of_a_version(registry: Registry, folder: Path, tmp_path: Path) -> None:
    manifest = registry.push(folder, name="doubler").manifest

    fetched = registry.fetch(REF, tmp_path / "cache")

    assert f"doubler@1-{manifest.digest[:12]}" == fetched.name
    assert (fetched / "weights/w.bin").read_text() == "0123456789"
    assert (folder / "model.py").read_text() == (fetched / "model.py").read_text()
    assert list((tmp_path / "cache/.partial").iterdir()) == []


@pytest.mark.parametrize("damage", ["012345678X", "short", ""])
def test_a_damaged_cached_file_is_brought_again(registry: Registry, folder: Path, tmp_path: Path, damage: str) -> None:
    registry.push(folder, name="doubler")
    weights = registry.fetch(REF, tmp_path / "cache") / "weights/w.bin"
    weights.write_text(damage)

    registry.fetch(REF, tmp_path / "cache")

    assert weights.read_text() == "0123456789"


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were looked through."""
    names, whole = list[str](), hashlib.file_digest

    def noting(content: Any, digest: Any) -> Any:
        names.append(Path(content.name).name)
        return whole(content, digest)

    monkeypatch.setattr(hashlib, "file_digest", noting)
    return names


def test_a_process_looks_through_files_again_only_if_they_were_touched(
    registry: Registry, folder: Path, tmp_path: Path, hashed: list[str]
) -> None:
    registry.push(folder, name="doubler")
    weights = registry.fetch(REF, tmp_path / "cache") / "weights/w.bin"
    time.sleep(0.1)  # what was changed just now is not trusted
    registry.fetch(REF, tmp_path / "cache")
    hashed.clear()

    registry.fetch(REF, tmp_path / "cache")
    untouched = list(hashed)
    before = weights.stat()
    weights.write_text("012345678X")
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    registry.fetch(REF, tmp_path / "cache")

    assert ([], "0123456789") == (untouched, weights.read_text())
    assert "w.bin" in hashed


@pytest.mark.parametrize(("age_ns", "looks"), [(1_000_000, 2), (1_000_000_000, 1)])
def test_a_file_that_was_changed_just_now_is_looked_through_again(
    tmp_path: Path, hashed: list[str], age_ns: int, looks: int
) -> None:
    (tmp_path / "w.bin").write_text("0123456789")
    entry = FileEntry(path="w.bin", size_bytes=10, sha256=hashlib.sha256(b"0123456789").hexdigest())
    verified = Verified(now_ns=lambda: (tmp_path / "w.bin").stat().st_ctime_ns + age_ns)

    assert [verified.is_intact(tmp_path / "w.bin", entry) for _ in range(2)] == [True, True]

    assert ["w.bin"] * looks == hashed


def test_a_missing_file_in_the_store_is_named(registry: Registry, stored: Path, tmp_path: Path) -> None:
    stored.unlink()

    with pytest.raises(ModelFilesError, match=r"doubler@1: file 'weights/w.bin' .* should be 10 bytes.* is nothing"):
        registry.fetch(REF, tmp_path / "cache")


def test_a_corrupt_file_in_the_store_is_named_with_both_digests_and_never_laid_out(
    registry: Registry, stored: Path, tmp_path: Path
) -> None:
    stored.write_text("012345678X")

    with pytest.raises(
        ModelFilesError, match=f"'weights/w.bin' .*sha256 {stored.name}, but there is 10 bytes, sha256 "
    ):
        registry.fetch(REF, tmp_path / "cache")

    assert list((tmp_path / "cache").rglob("w.bin")) == []


def test_pushing_again_restores_a_file_that_the_store_has_lost(
    registry: Registry, stored: Path, folder: Path, tmp_path: Path
) -> None:
    stored.unlink()

    pushed = registry.push(folder, name="doubler")

    assert not pushed.is_new
    assert (registry.fetch(REF, tmp_path / "cache") / "weights/w.bin").read_text() == "0123456789"


def test_files_added_under_other_names_join_the_version(registry: Registry, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "big.bin").write_text("big")

    manifest = registry.push(folder, name="doubler", extra={"more/b.bin": tmp_path / "big.bin"}).manifest

    assert [file.path for file in manifest.files] == ["model.py", "more/b.bin", "weights/w.bin"]


def test_hidden_files_and_bytecode_stay_out(registry: Registry, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", files={".env": "secret", "__pycache__/x.pyc": "", ".git/config": ""})

    assert [file.path for file in registry.push(folder, name="m").manifest.files] == ["model.py"]


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        ({"../up": "model.py"}, "'../up' is not a plain relative path"),
        ({"/abs": "model.py"}, "'/abs' is not a plain relative path"),
        ({"w": "nothing-here"}, "there is nothing at"),
        ({"model.py": "model.py"}, "'model.py' is in .* and would be added"),
    ],
)
def test_an_addition_that_leads_astray_is_refused(
    registry: Registry, folder: Path, extra: dict[str, str], problem: str
) -> None:
    with pytest.raises(InvalidModel, match=problem):
        registry.push(folder, name="doubler", extra={name: folder / path for name, path in extra.items()})

    assert registry.versions("doubler") == []


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "a//b", "./a", "", ".", "a\\b", "a/"])
def test_a_manifest_names_no_file_outside_its_folder(path: str) -> None:
    with pytest.raises(ValidationError, match="plain relative path"):
        FileEntry(path=path, size_bytes=0, sha256="0" * 64)


def test_a_file_that_changes_while_it_is_pushed_leaves_no_version(registry: Registry, tmp_path: Path) -> None:
    meddling = "import pathlib\n(pathlib.Path(__file__).parent / 'w.bin').write_text('after')\n"
    folder = write_model(tmp_path / "m", meddling + DOUBLER, files={"w.bin": "first"})

    with pytest.raises(InvalidModel, match=r"w.bin changed while it was pushed; push again"):
        registry.push(folder, name="doubler")

    assert registry.versions("doubler") == []


def test_an_unknown_version_is_not_found(registry: Registry, folder: Path) -> None:
    registry.push(folder, name="doubler")

    with pytest.raises(ModelNotFound, match=r"there is no model doubler@7; its versions are \[1\]"):
        registry.manifest(ModelRef("doubler", 7))


def test_a_damaged_manifest_is_refused_but_keeps_no_successor_out(
    registry: Registry, url: str, folder: Path, tmp_path: Path
) -> None:
    registry.push(folder, name="doubler")
    (tmp_path / "a store/models/doubler/versions/00000001/manifest.json").write_text("{}")

    with pytest.raises(ModelFilesError, match=r"doubler@1: its manifest .* is damaged"):
        Registry(url=url).manifest(REF)
    assert Registry(url=url).push(folder, name="doubler").manifest.version == 2


@pytest.mark.parametrize(
    "url",
    ["s3://bucket/models", "gs://bucket/models", "az://container/models", "abfss://c@account.dfs.core.windows.net/m"],
)
def test_the_stores_of_the_large_clouds_are_known(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")

    assert url == ObjectStore(url=url).url


def test_a_store_without_its_account_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)

    with pytest.raises(SettingsError, match="Account must be specified"):
        ObjectStore(url="az://container/models")


def test_an_unknown_kind_of_store_is_a_settings_error() -> None:
    with pytest.raises(SettingsError, match="the registry 'ftp://x' cannot be opened"):
        Registry(url="ftp://x")
