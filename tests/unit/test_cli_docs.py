"""The page about the command line names every command, and every exit code."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from headrace import cli

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()


def commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(command, TyperGroup):
        for name, child in command.commands.items():
            yield from commands(child, f"{path} {name}")
    else:
        yield path, command


#: To programs that have options of their own.
PASSED_ON = {"headrace up", "headrace doctor", "headrace models"}
ALL = dict(commands(typer.main.get_command(cli.app), "headrace"))


def test_the_page_lists_every_command_and_no_other() -> None:
    listed = re.findall(r"^\| `(headrace [a-z -]+)` \|", PAGE, re.MULTILINE)

    assert sorted(ALL) == sorted(listed)


def test_the_page_and_the_help_have_every_exit_code() -> None:
    listed = re.findall(r"^\| (\d) \|", PAGE, re.MULTILINE)
    helped = re.findall(r"\b(\d) [a-z]", cli.EXIT_CODES)

    assert ["0", "1", "2", "3", "4"] == listed == [code for code in helped if code.isdigit()]


@pytest.mark.parametrize("path", sorted(ALL.keys() - PASSED_ON))
def test_every_command_has_json(path: str) -> None:
    options = {name for parameter in ALL[path].params for name in parameter.opts}

    assert "--json" in options


def test_the_page_lists_every_command_about_models() -> None:
    [row] = re.findall(r"^\| `headrace models` \|(.*)\|$", PAGE, re.MULTILINE)

    assert list(cli.MODEL_COMMANDS) == re.findall(r"`(\w+)`", row)
