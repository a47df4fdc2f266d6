"""The files on a host's disk stay within a limit; what was used longest ago goes, never what is in use."""

import logging
import os
from pathlib import Path

import pytest

from headrace.model_ref import ModelRef
from registry import cache as registry_cache
from registry.cache import naming_lock, version_folder
from registry.cache_room import CacheRoom
from registry.file_lock import exclusive_lock, shared_lock
from registry.registry import Registry
from tests.model_folder import DOUBLER, write_model
from workers.loaded_models import LoadedModels

#: Of each model here; its source is small beside it.
SIZE = 100_000
#: Room for two.
MAX_BYTES = 2 * SIZE + 10_000


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """Three models, a, b and c."""
    registry = Registry(url=(tmp_path / "store").as_uri())
    for name in "abc":
        registry.push(write_model(tmp_path / name, files={"w.bin": name * SIZE}), name=name)
    return registry


@pytest.fixture
def room(cache: Path) -> CacheRoom:
    return CacheRoom(cache_dir=cache, max_bytes=MAX_BYTES)


def use(registry: Registry, room: CacheRoom, cache: Path, name: str, *, at: float) -> Path:
    """Fetch a model as a worker does that starts and ends at a time."""
    manifest = registry.manifest(ModelRef(name, 1))
    folder = version_folder(cache, manifest)
    room.hold(folder)
    room.make(0 if folder.exists() else manifest.size_bytes)
    registry.fetch(manifest.ref, cache)
    room.let_go(folder)
    os.utime(cache / ".use" / folder.name, (at, at))
    return folder


def kept(cache: Path) -> set[str]:
    return {folder.name[0] for folder in cache.iterdir() if not folder.name.startswith(".")}


def test_what_was_used_longest_ago_makes_room(registry: Registry, room: CacheRoom, cache: Path) -> None:
    use(registry, room, cache, "a", at=1)
    use(registry, room, cache, "b", at=2)
    use(registry, room, cache, "a", at=3)

    use(registry, room, cache, "c", at=4)

    assert {"a", "c"} == kept(cache)
    assert room.used_bytes() <= MAX_BYTES


def test_what_another_process_uses_stays_though_it_is_the_oldest(
    registry: Registry, room: CacheRoom, cache: Path
) -> None:
    other = CacheRoom(cache_dir=cache, max_bytes=MAX_BYTES)
    folder = use(registry, room, cache, "a", at=1)
    other.hold(folder)
    os.utime(cache / ".use" / folder.name, (1, 1))
    use(registry, room, cache, "b", at=2)

    use(registry, room, cache, "c", at=3)

    assert {"a", "c"} == kept(cache)


def test_a_version_whose_load_failed_is_not_in_use(
    registry: Registry, room: CacheRoom, cache: Path, tmp_path: Path
) -> None:
    source = DOUBLER + "\n    def load(self, files, device): 1 / 0\n"
    registry.push(write_model(tmp_path / "broken", source, files={"w.bin": "x" * SIZE}), name="x")
    models = LoadedModels(registry=registry, cache=cache, device="cpu", cache_max_bytes=MAX_BYTES)
    with pytest.raises(ZeroDivisionError):
        models.load("x@1", b"")

    room.make(MAX_BYTES)

    assert set() == kept(cache)


def test_a_content_that_is_about_to_get_a_name_stays(cache: Path, room: CacheRoom) -> None:
    content = cache / ".files/0123"
    content.parent.mkdir(parents=True)
    content.write_text("just fetched")

    with shared_lock(naming_lock(cache)):
        room.make()
        while_fetching = content.exists()
    room.make()

    assert (True, False) == (while_fetching, content.exists())


def test_a_fetch_says_that_it_is_about_to_give_names(
    registry: Registry, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, link = list[bool](), registry_cache._link

    def looking(content: Path, target: Path) -> None:
        with exclusive_lock(naming_lock(cache)) as is_free:
            seen.append(is_free)
        link(content, target)

    monkeypatch.setattr("registry.cache._link", looking)
    registry.fetch(ModelRef("a", 1), cache)

    assert [False, False] == seen


def test_if_all_is_in_use_nothing_goes_and_the_log_says_so(
    registry: Registry, cache: Path, room: CacheRoom, caplog: pytest.LogCaptureFixture
) -> None:
    other = CacheRoom(cache_dir=cache, max_bytes=MAX_BYTES)
    for at, name in enumerate("ab"):
        other.hold(use(registry, room, cache, name, at=at))

    with caplog.at_level(logging.WARNING):
        use(registry, room, cache, "c", at=3)

    assert {"a", "b", "c"} == kept(cache)
    assert "models in use take" in caplog.text


def test_a_file_of_two_versions_goes_with_the_second(registry: Registry, cache: Path, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "a", files={"w.bin": "a" * SIZE, "notes.txt": "more"})
    registry.push(folder, name="a")
    for version in (1, 2):
        registry.fetch(ModelRef("a", version), cache)
    tight = CacheRoom(cache_dir=cache, max_bytes=SIZE + 10_000)

    tight.make()
    before = (len(list(cache.glob("a@*"))), tight.used_bytes() > SIZE)
    tight.make(SIZE)

    assert (2, True) == before
    assert ([], []) == (list(cache.glob("a@*")), list((cache / ".files").iterdir()))
