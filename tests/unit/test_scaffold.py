"""A scaffold works as it is: it conforms, passes its own tests, and can be pushed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headrace.settings import get_settings
from registry.__main__ import app
from workers.check import check


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty registry in the settings."""
    monkeypatch.setenv("HEADRACE_DATA_DIR", str(tmp_path / "data"))
    get_settings.cache_clear()


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.output


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize("name", ["spam-filter", "2nd.try"])
def test_a_scaffold_conforms_and_can_be_pushed(tmp_path: Path, name: str) -> None:
    code, said = run("scaffold", tmp_path / name)

    assert (0, True) == (code, f"headrace models push {tmp_path / name}" in said)
    assert [finding for finding in check(tmp_path / name) if not finding.ok] == []
    assert f"published {name}@1" in run("push", tmp_path / name)[1]


def test_a_scaffold_passes_its_own_tests(tmp_path: Path) -> None:
    run("scaffold", tmp_path / "mill")

    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path / "mill")]
    # What is given to our own tests is not for these.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert (0, True) == (done.returncode, "2 passed" in done.stdout), done.stdout


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mill").mkdir()

    code, said = run("scaffold", tmp_path / "mill")

    assert (2, True) == (code, "is there already" in said)
    assert list((tmp_path / "mill").iterdir()) == []


def test_a_name_that_no_model_may_have_is_refused(tmp_path: Path) -> None:
    assert 2 == run("scaffold", tmp_path / "a name")[0]
