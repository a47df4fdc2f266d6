"""CacheRoom: keeps the files on a host's disk within a limit; what was used longest ago goes, never what is in use.

A process that uses a version holds a shared lock on a file named like its folder, `<cache>/.use/<folder>`, until it
lets go or ends, however it ends. A folder is removed under the exclusive lock only, so nobody's files vanish under its
feet. The time of that file is when the version was last used.
"""

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from registry.cache import naming_lock
from registry.file_lock import exclusive_lock, open_lock

log = logging.getLogger(__name__)


class _Version(NamedTuple):
    used_at: float
    folder: Path


class CacheRoom:
    """The room in one cache folder, as one process sees it.

    Args:
        cache_dir: the folder; `registry.cache` says what is in it.
        max_bytes: what all files together may take.
    """

    def __init__(self, *, cache_dir: Path, max_bytes: int) -> None:
        self._cache_dir = cache_dir
        self._use = cache_dir / ".use"
        self._max_bytes = max_bytes
        self._held: dict[str, int] = {}

    def hold(self, folder: Path) -> None:
        """Keep a version's folder from being removed; from before it is fetched until it is let go."""
        if folder.name in self._held:
            return
        descriptor = open_lock(self._use / folder.name)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        os.utime(descriptor)
        self._held[folder.name] = descriptor

    def let_go(self, folder: Path) -> None:
        """Allow that a version's folder is removed, as far as this process is concerned."""
        descriptor = self._held.pop(folder.name, None)
        if descriptor is not None:
            os.utime(descriptor)
            os.close(descriptor)

    def make(self, wanted_bytes: int = 0) -> None:
        """Remove versions, the one used longest ago first, until so many more bytes fit, or the rest is in use."""
        self._remove_unnamed()
        for version in sorted(self._versions()):
            if self.used_bytes() + wanted_bytes <= self._max_bytes:
                return
            self._remove(version.folder)
        if (used := self.used_bytes() + wanted_bytes) > self._max_bytes:
            log.warning(
                "models in use take %.0f MB of disk, and cache_max_bytes allows %.0f MB",
                used / 1e6,
                self._max_bytes / 1e6,
            )

    def used_bytes(self) -> int:
        """What the files take; one that several versions have counts once."""
        found = {(stat.st_dev, stat.st_ino): stat.st_size for stat in self._stats()}
        return sum(found.values())

    def _stats(self) -> Iterator[os.stat_result]:
        for path in self._cache_dir.rglob("*"):
            with suppress(FileNotFoundError):  # somebody else makes room, too
                if path.is_file():
                    yield path.stat()

    def _versions(self) -> Iterator[_Version]:
        for folder in self._cache_dir.iterdir() if self._cache_dir.is_dir() else ():
            if folder.is_dir() and not folder.name.startswith("."):
                yield _Version(self._used_at(folder), folder)

    def _used_at(self, folder: Path) -> float:
        try:
            return (self._use / folder.name).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def _remove(self, folder: Path) -> None:
        with exclusive_lock(self._use / folder.name) as is_free:
            if is_free:
                log.info("%s makes room in the cache", folder.name)
                shutil.rmtree(folder, ignore_errors=True)
        self._remove_unnamed()

    def _remove_unnamed(self) -> None:
        """Remove contents that no version has any more, unless somebody is about to give one a name."""
        with exclusive_lock(naming_lock(self._cache_dir)) as is_free:
            for content in (self._cache_dir / ".files").glob("*") if is_free else ():
                if content.stat().st_nlink == 1:
                    content.unlink()
