"""Cache: the files of a version on this machine's disk, each verified before use, whoever put it there."""

import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headrace.errors import ModelFilesError
from registry.manifest import FileEntry, Manifest
from registry.object_store import ObjectStore

#: A partial file this old belongs to a process that has died.
_ABANDONED_S = 3600.0


def object_path(sha256: str) -> str:
    """Where a file lies in the store."""
    return f"files/sha256/{sha256}"


def fetch(store: ObjectStore, manifest: Manifest, cache_dir: Path) -> Path:
    """Answer the folder with a version's files, bringing those that are missing or damaged.

    Every file appears whole and verified or not at all, so processes may fetch side by side, and one that died
    half-way leaves nothing that the next would have to mend.

    Raises:
        ModelFilesError: if the store has not got a file as its manifest says.
    """
    folder = cache_dir / f"{manifest.ref}-{manifest.digest[:12]}"
    for file in manifest.files:
        target = folder / file.path
        if not _is_intact(target, file):
            target.parent.mkdir(parents=True, exist_ok=True)
            _bring(store, manifest, file, target=target, partial_dir=cache_dir / ".partial")
    return folder


def _is_intact(target: Path, file: FileEntry) -> bool:
    try:
        with target.open("rb") as content:
            if os.fstat(content.fileno()).st_size != file.size_bytes:
                return False
            return hashlib.file_digest(content, "sha256").hexdigest() == file.sha256
    except OSError:
        return False


def _bring(store: ObjectStore, manifest: Manifest, file: FileEntry, *, target: Path, partial_dir: Path) -> None:
    with _partial_file(partial_dir) as (descriptor, partial):
        digest = hashlib.sha256()
        with os.fdopen(descriptor, "wb") as content:
            for chunk in _chunks(store, manifest, file):
                digest.update(chunk)
                content.write(chunk)
            size = content.tell()
        if digest.hexdigest() != file.sha256:
            actual = f"{size} bytes, sha256 {digest.hexdigest()}"
            raise _damaged(store, manifest, file, actual)
        partial.replace(target)


def _chunks(store: ObjectStore, manifest: Manifest, file: FileEntry) -> Iterator[bytes]:
    try:
        yield from store.stream(object_path(file.sha256))
    except FileNotFoundError:
        raise _damaged(store, manifest, file, "nothing") from None


def _damaged(store: ObjectStore, manifest: Manifest, file: FileEntry, actual: str) -> ModelFilesError:
    return ModelFilesError(
        f"{manifest.ref}: file '{file.path}' in {store.url} should be {file.size_bytes} bytes, "
        f"sha256 {file.sha256}, but there is {actual}; remove {object_path(file.sha256)} and push the model again"
    )


@contextmanager
def _partial_file(folder: Path) -> Iterator[tuple[int, Path]]:
    folder.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(folder)
    descriptor, name = tempfile.mkstemp(dir=folder)
    partial = Path(name)
    try:
        yield descriptor, partial
    finally:
        partial.unlink(missing_ok=True)


def _remove_abandoned(folder: Path) -> None:
    for partial in folder.iterdir():
        try:
            if time.time() - partial.stat().st_mtime > _ABANDONED_S:
                partial.unlink()
        except FileNotFoundError:  # its owner was faster
            continue
