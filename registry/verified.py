"""Verified: which files of this disk are what a manifest says, each looked through once as long as nobody touches it.

A file is taken for untouched while its inode, size and times are the same. The time of its last change (`st_ctime`) is
the kernel's: unlike the other one, nobody can set it back (inode(7)).
"""

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from registry.manifest import FileEntry

#: Device, inode, size, and nanoseconds of the last write and of the last change.
_Mark = tuple[int, int, int, int, int]
#: A file may change again within one tick of the kernel's clock and keep its time; one so young is not remembered.
_TICK_NS = 50_000_000


class Verified:
    """What one process has verified. Safe to share between threads.

    Args:
        now_ns: answers Unix nanoseconds.
    """

    def __init__(self, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._now_ns = now_ns
        self._marks: dict[Path, tuple[_Mark, str]] = {}

    def is_intact(self, path: Path, file: FileEntry) -> bool:
        """Tell whether a file is there and is what its entry says."""
        try:
            with path.open("rb") as content:
                mark = _mark(content.fileno())
                if self._marks.get(path) == (mark, file.sha256):
                    return True
                if mark[2] != file.size_bytes or hashlib.file_digest(content, "sha256").hexdigest() != file.sha256:
                    return False
                if mark == _mark(content.fileno()) and self._now_ns() - mark[4] > _TICK_NS:
                    self._marks[path] = mark, file.sha256
                return True
        except OSError:
            return False


def _mark(descriptor: int) -> _Mark:
    stat = os.fstat(descriptor)
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
