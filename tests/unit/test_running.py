"""Commands on the same machine find the running system."""

import os
from pathlib import Path

import pytest

from headrace.running import RunningSystem, announce, find_running, withdraw

HERE = RunningSystem(os.getpid(), "http://127.0.0.1:8080", "redis://127.0.0.1:1/0")


def test_what_was_announced_is_found(tmp_path: Path) -> None:
    announce(tmp_path, HERE)

    assert find_running(tmp_path) == HERE


def test_what_was_withdrawn_is_not_found(tmp_path: Path) -> None:
    announce(tmp_path, HERE)

    withdraw(tmp_path)

    assert find_running(tmp_path) is None


def test_a_process_that_has_ended_is_not_found(tmp_path: Path) -> None:
    child = os.posix_spawn("/bin/true", ["true"], os.environ)
    os.waitpid(child, 0)

    announce(tmp_path, HERE._replace(pid=child))

    assert find_running(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{}", "[]", "not json"])
def test_a_damaged_file_is_no_running_system(tmp_path: Path, text: str) -> None:
    (tmp_path / "up.json").write_text(text)

    assert find_running(tmp_path) is None
