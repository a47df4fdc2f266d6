"""Malicious and broken files: refused by name when pushed and when fetched, and nothing of them is executed."""

import hashlib
import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy
import orjson
import pytest

from headrace.errors import InvalidModel
from headrace.model_ref import ModelRef
from registry.cache import object_path
from registry.manifest import FileEntry, Manifest, canonical_json
from registry.object_store import ObjectStore
from registry.registry import Registry
from tests.model_folder import write_model


class Bomb:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self._mark = str(mark)

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.open, (self._mark, os.O_CREAT)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """A file that is there once somebody has executed something."""
    return tmp_path / "executed"


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(url=(tmp_path / "store").as_uri())


def safetensors(header: object, data: bytes = b"", *, length: int | None = None) -> bytes:
    text = orjson.dumps(header)
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(begin: int, end: int) -> dict[str, object]:
    return {"dtype": "F32", "shape": [(end - begin) // 4], "data_offsets": [begin, end]}


def archive(name: str, content: bytes, *, mode: int = 0) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = mode << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        file.writestr(entry, content)
    return packed.getvalue()


def objects() -> bytes:
    packed = io.BytesIO()
    numpy.save(packed, numpy.array([{"a": 1}], dtype=object), allow_pickle=True)
    return packed.getvalue()


Make = Callable[[Path], bytes]

REFUSED: dict[str, tuple[str, Make, str]] = {
    "pickle": ("w.pkl", lambda mark: pickle.dumps(Bomb(mark)), "is a pickle"),
    "pickle under another name": ("w.bin", lambda mark: pickle.dumps(Bomb(mark)), "is a pickle"),
    "pickle in an archive": ("w.pt", lambda mark: archive("w/data.pkl", pickle.dumps(Bomb(mark))), "is a pickle"),
    "objects in an array": ("w.npy", lambda _: objects(), "is a pickle"),
    "program": ("w.pt2", lambda _: archive("models/model.json", b"{}"), "is a compiled program"),
    "header bomb": ("w.safetensors", lambda _: safetensors({}, length=1 << 40), "its header claims 1099511627776"),
    "long header": ("w.safetensors", lambda _: safetensors({"a": "x" * (17 << 20)}), "its header claims"),
    "100,000 tensors": (
        "w.safetensors",
        lambda _: safetensors({f"t{i}": tensor(0, 0) for i in range(100_000)}),
        "claims 100000 tensors",
    ),
    "cut off": ("w.safetensors", lambda _: safetensors({"a": tensor(0, 8)}, b"1234"), "the file is cut off"),
    "hidden bytes": ("w.safetensors", lambda _: safetensors({"a": tensor(0, 4)}, b"12345678"), "hides something"),
    "overlap": (
        "w.safetensors",
        lambda _: safetensors({"a": tensor(0, 8), "b": tensor(4, 8)}, b"12345678"),
        "begins at byte 4, but the one before ends at 8",
    ),
    "no table": ("w.safetensors", lambda _: safetensors([1, 2]), "no table of tensors"),
    "no place": ("w.safetensors", lambda _: safetensors({"a": {"data_offsets": "all"}}), "has no place"),
    "not safetensors": ("w.safetensors", lambda _: b"\x00", "unpack_from requires a buffer"),
    "archive bomb": ("w.zip", lambda _: archive("zeros", bytes(64 << 20)), "an archive bomb"),
    "way out of an archive": ("w.npz", lambda _: archive("../../etc/cron.d/x", b"x"), "outside of its folder"),
    "link in an archive": ("w.zip", lambda _: archive("x", b"/etc/passwd", mode=0o120777), "is a link"),
    "broken archive": ("w.zip", lambda _: b"PK\x03\x04 and nothing more", "File is not a zip file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_malicious_file_is_refused_at_the_push_by_name(
    case: str, registry: Registry, tmp_path: Path, mark: Path
) -> None:
    name, make, why = REFUSED[case]
    folder = write_model(tmp_path / "doubler")
    (folder / name).write_bytes(make(mark))

    with pytest.raises(InvalidModel, match=f"'{name}'.*{why}"):
        registry.push(folder, name="doubler")

    assert ([], False) == (registry.versions("doubler"), mark.exists())


@pytest.mark.parametrize("case", REFUSED)
def test_a_malicious_file_that_somebody_put_into_the_store_is_refused_by_the_worker(
    case: str, registry: Registry, tmp_path: Path, mark: Path
) -> None:
    name, make, why = REFUSED[case]
    manifest = registry.push(write_model(tmp_path / "doubler"), name="doubler").manifest
    put_version(tmp_path, manifest, name, make(mark))

    with pytest.raises(InvalidModel, match=f"'{name}'.*{why}"):
        registry.fetch(ModelRef("doubler", 2), tmp_path / "cache")

    assert not mark.exists()


def put_version(tmp_path: Path, manifest: Manifest, name: str, content: bytes) -> None:
    """Put a second version with one more file into the store, past every check."""
    store = ObjectStore(url=(tmp_path / "store").as_uri())
    source = tmp_path / name
    source.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    store.put_stream(object_path(digest), iter([content]))
    entry = FileEntry(path=name, size_bytes=len(content), sha256=digest)
    second = manifest.model_copy(update={"version": 2, "files": (*manifest.files, entry)})
    body = canonical_json(second.model_dump(mode="json"))
    assert store.put_new("models/doubler/versions/00000002/manifest.json", body)


def test_who_vouches_for_a_pickle_may_push_and_fetch_it(registry: Registry, tmp_path: Path, mark: Path) -> None:
    folder = write_model(tmp_path / "doubler")
    (folder / "w.pkl").write_bytes(pickle.dumps(Bomb(mark)))

    manifest = registry.push(folder, name="doubler", trusted=True).manifest

    assert (True, True) == (manifest.trusted, registry.fetch(manifest.ref, tmp_path / "cache").is_dir())
    assert not mark.exists()


def test_sound_files_go_through(registry: Registry, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "doubler")
    good = safetensors({"__metadata__": {"a": "b"}, "b": tensor(4, 8), "a": tensor(0, 4)}, b"12345678")
    (folder / "w.safetensors").write_bytes(good)
    numpy.savez(folder / "w.npz", a=numpy.arange(3))

    assert registry.push(folder, name="doubler").is_new


@pytest.mark.parametrize("target", ["/etc/hostname", "model.py", "nowhere"])
def test_a_link_in_the_folder_is_refused(registry: Registry, tmp_path: Path, target: str) -> None:
    folder = write_model(tmp_path / "doubler")
    (folder / "w.bin").symlink_to(target)

    with pytest.raises(InvalidModel, match="is a link"):
        registry.push(folder, name="doubler")


def test_more_files_than_a_model_has_are_refused(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.file_check.MAX_FILES", 3)
    folder = write_model(tmp_path / "doubler", files={f"{i}.txt": "" for i in range(3)})

    with pytest.raises(InvalidModel, match="more than 3 files"):
        registry.push(folder, name="doubler")
