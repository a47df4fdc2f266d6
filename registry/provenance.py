"""Provenance: where a version came from, for whoever asks later; it is no part of what the version is."""

import getpass
import platform
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

_GIT_S = 5.0


def provenance_of(folder: Path, given: Mapping[str, str]) -> dict[str, str]:
    """Who publishes a folder, with which Headrace and Python, from which commit if any; and what is `given`."""
    known = {
        "by": user_name(),
        "headrace": _own_version(),
        "python": platform.python_version(),
        "commit": _commit(folder),
    }
    return {name: value for name, value in {**known, **given}.items() if value}


def _own_version() -> str:
    try:
        return metadata.version("headrace")
    except metadata.PackageNotFoundError:  # run from a folder that was copied
        return ""


def user_name() -> str:
    """Who runs this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"


def _commit(folder: Path) -> str:
    """The commit that a folder is at, with a plus sign if it has changed since; empty if git knows nothing of it."""
    head = _git(folder, "rev-parse", "HEAD")
    if not head or not _git(folder, "ls-files", "--", "."):
        return ""
    return f"{head}+" if _git(folder, "status", "--porcelain", "--", ".") else head


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
