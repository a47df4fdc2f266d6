"""The command line's edges: exit codes, nobody there, no checkout."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from headrace import cli, errors
from headrace.commands import models as about_models
from headrace.errors import HeadraceError, SettingsError
from registry.__main__ import app as registry_app
from scheduler.embedded_server import free_port


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.JobNotSucceeded("failed"), 1),
        (errors.InvalidInput("wrong"), 2),
        (errors.JobNotFound("unknown"), 2),
        (errors.SettingsError("wrong"), 2),
        (errors.WaitTimeout("late"), 3),
        (errors.Unavailable("nobody"), 4),
        (errors.QueueFull("full"), 4),
        (errors.InternalError("bug"), 1),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error: HeadraceError, code: int) -> None:
    assert code == cli.exit_code(error)


@pytest.mark.slow
def test_nobody_there_is_exit_code_4_in_one_line() -> None:
    url = f"http://127.0.0.1:{free_port()}"

    done = subprocess.run(
        [sys.executable, "-m", "headrace.cli", "queues", "--url", url], capture_output=True, text=True, check=False
    )

    assert done.returncode == 4
    assert len(done.stderr.splitlines()) == 1
    assert url in done.stderr


@pytest.mark.slow
def test_models_is_passed_on_with_its_arguments_and_exit_code(tmp_path: Path) -> None:
    def models(*arguments: str) -> int:
        command = [sys.executable, "-m", "headrace.cli", "models", *arguments]
        environment = {"HEADRACE_DATA_DIR": str(tmp_path), "PATH": ""}
        return subprocess.run(command, env=environment, capture_output=True, check=False).returncode

    assert models("ls") == 0
    assert models("show", "nobody") != 0
    assert models("check", str(tmp_path)) != 0


@pytest.mark.parametrize("command", [["up"], ["models", "ls"]])
def test_outside_a_checkout_services_are_said_to_be_missing(
    monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setattr(cli, "find_spec", lambda _: None)

    result = CliRunner().invoke(cli.app, command)

    assert isinstance(result.exception, SettingsError)
    assert "make setup" in result.exception.detail


def test_the_version_can_be_asked_for() -> None:
    result = CliRunner().invoke(cli.app, ["--version"])

    assert (result.exit_code, result.output) == (0, f"headrace {version('headrace')}\n")


def test_who_shows_no_key_is_told_where_to_put_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise errors.Unauthenticated("show an API key")

    monkeypatch.setattr(cli, "app", refuse)

    with pytest.raises(SystemExit):
        cli.main()

    assert "HEADRACE_API_KEY" in capsys.readouterr().err


def complete(line: str) -> list[str]:
    """What a shell is told to offer."""
    shell = {"_HEADRACE_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    return CliRunner().invoke(cli.app, env=shell, prog_name="headrace").output.split()


def test_commands_about_models_are_completed_like_all_others() -> None:
    assert ["models"] == complete("headrace mod")
    assert sorted(cli.MODEL_COMMANDS) == sorted(complete("headrace models "))
    assert ["promote"] == complete("headrace models pro")
    assert [] == complete("headrace models promote ")


def test_what_is_completed_about_models_is_what_there_is() -> None:
    apps = (registry_app, about_models.app)
    there = {name for app in apps for name in typer.main.get_group(app).commands}

    assert {"check", "tune"} | there == set(cli.MODEL_COMMANDS)
