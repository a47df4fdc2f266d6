"""Cache: the files of a version on this machine's disk, each verified before use, whoever put it there.

    <cache>/<name>@<version>-<digest>/…   a version as its model sees it: hard links to
    <cache>/.files/<sha256>               each content once, however many versions have it
    <cache>/.partial/<sha256>             what has come of a file so far; the next try goes on behind it

A file appears whole and verified or not at all, so processes may fetch side by side: who comes second waits for what
the first one is bringing. `cache_room` says which versions may go again.
"""

import fcntl
import hashlib
import logging
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from headrace.errors import ModelFilesError, StoreUnavailable
from headrace.failpoints import failpoint
from registry.file_lock import shared_lock
from registry.manifest import FileEntry, Manifest
from registry.object_store import ObjectStore
from registry.progress import Progress
from registry.verified import Verified

log = logging.getLogger(__name__)

#: Nobody goes on with a part that is this old.
_ABANDONED_S = 86_400.0
#: So often a transfer may break off without having moved a byte; each pause is twice the one before.
_TRIES, _FIRST_PAUSE_S = 4, 0.5


def object_path(sha256: str) -> str:
    """Where a file lies in the store."""
    return f"files/sha256/{sha256}"


def version_folder(cache_dir: Path, manifest: Manifest) -> Path:
    """Where a version's files lie."""
    return cache_dir / f"{manifest.ref}-{manifest.digest[:12]}"


def naming_lock(cache_dir: Path) -> Path:
    """Lock file of those who are about to give contents their names in a version."""
    return cache_dir / ".use" / ".naming"


def fetch(
    store: ObjectStore, manifest: Manifest, cache_dir: Path, *, verified: Verified, progress: Progress | None = None
) -> Path:
    """Answer the folder with a version's files, bringing those that are missing or damaged.

    `verified` remembers what this process has looked through.

    Raises:
        ModelFilesError: if the store has not got a file as its manifest says.
        StoreUnavailable: if the store does not answer; what has come so far is kept for the next try.
    """
    return _Fetch(store, manifest, cache_dir, verified, progress or Progress()).run()


class _Fetch:
    """Brings the files of one version."""

    def __init__(
        self, store: ObjectStore, manifest: Manifest, cache_dir: Path, verified: Verified, progress: Progress
    ) -> None:
        self._store = store
        self._manifest = manifest
        self._folder = version_folder(cache_dir, manifest)
        self._contents, self._parts = cache_dir / ".files", cache_dir / ".partial"
        self._is_intact = verified.is_intact
        self._progress = progress

    def run(self) -> Path:
        missing = [file for file in self._manifest.files if not self._is_intact(self._folder / file.path, file)]
        if missing:
            self._progress.begin(sum(file.size_bytes for file in missing))
            for folder in (self._contents, self._parts):
                folder.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(self._parts)
        with shared_lock(naming_lock(self._contents.parent)):
            for file in missing:
                _link(self._content(file), self._folder / file.path)
        return self._folder

    def _content(self, file: FileEntry) -> Path:
        """The file under its digest, verified."""
        content = self._contents / file.sha256
        if not self._is_intact(content, file):
            self._bring(file, content)
        return content

    def _bring(self, file: FileEntry, content: Path) -> None:
        partial = self._parts / file.sha256
        with _locked(partial) as part:
            if self._is_intact(content, file):  # whoever had the lock has brought it
                partial.unlink()
                return
            self._check_size(file)
            if not self._complete(file, part):
                partial.unlink()
                raise self._damaged(file, f"{file.size_bytes} bytes, sha256 {_digest(part).hexdigest()}")
            partial.replace(content)

    def _complete(self, file: FileEntry, part: BinaryIO) -> bool:
        """Bring the rest of a file, or all of it if what was there proves to be none of it; False if it is damaged."""
        had = part.seek(0, os.SEEK_END)
        if had > file.size_bytes:
            had = part.truncate(0)
        self._progress.moved(had)
        self._append(file, part)
        if _digest(part).hexdigest() == file.sha256:
            return True
        if not had:
            return False
        log.warning("what was there of '%s' is none of it; it is brought anew", file.path)
        part.truncate(0)
        self._append(file, part)
        return _digest(part).hexdigest() == file.sha256

    def _append(self, file: FileEntry, part: BinaryIO) -> None:
        """Go on behind what is there, as often as the store breaks off, while something comes."""
        failures = 0
        while (had := part.seek(0, os.SEEK_END)) < file.size_bytes:
            try:
                self._read_on(file, part, had)
            except StoreUnavailable as error:
                failures = 0 if part.tell() > had else failures + 1
                if failures == _TRIES:
                    raise
                log.warning("%s: '%s' broke off at byte %d: %s", self._manifest.ref, file.path, part.tell(), error)
                time.sleep(_FIRST_PAUSE_S * 2**failures)
        part.flush()

    def _read_on(self, file: FileEntry, part: BinaryIO, offset: int) -> None:
        try:
            for chunk in self._store.stream(object_path(file.sha256), offset=offset):
                part.write(chunk)
                failpoint("registry.part_written")
                self._progress.moved(len(chunk))
        except FileNotFoundError:
            raise self._damaged(file, "nothing") from None

    def _check_size(self, file: FileEntry) -> None:
        size = self._store.size_bytes(object_path(file.sha256))
        if size != file.size_bytes:
            raise self._damaged(file, "nothing" if size is None else f"{size} bytes")

    def _damaged(self, file: FileEntry, actual: str) -> ModelFilesError:
        return ModelFilesError(
            f"{self._manifest.ref}: file '{file.path}' in {self._store.url} should be {file.size_bytes} bytes, "
            f"sha256 {file.sha256}, but there is {actual}; remove {object_path(file.sha256)} and push the model again"
        )


def _digest(part: BinaryIO) -> "hashlib._Hash":
    part.flush()
    part.seek(0)
    return hashlib.file_digest(part, "sha256")  # type: ignore[arg-type]


def _link(content: Path, target: Path) -> None:
    """Give a content its name in a version; a copy where the disk knows no hard links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    spare = target.with_name(f".{target.name}.{secrets.token_hex(8)}")  # threads and containers share process ids
    try:
        spare.hardlink_to(content)
    except OSError:
        shutil.copyfile(content, spare)
    spare.replace(target)


@contextmanager
def _locked(partial: Path) -> Iterator[BinaryIO]:
    """The part of a file, open for reading and appending, for one process at a time."""
    while True:
        part = partial.open("a+b")
        fcntl.flock(part, fcntl.LOCK_EX)
        if _is_still(partial, part):
            break
        part.close()  # who had the lock has moved it to its place
    with part:
        yield part


def _is_still(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _remove_abandoned(parts: Path) -> None:
    for partial in parts.iterdir():
        try:
            if time.time() - partial.stat().st_mtime > _ABANDONED_S:
                partial.unlink()
        except FileNotFoundError:  # its owner was faster
            continue
