"""What the pages show can be typed: `headrace` understands every command, and every program parses."""

import ast
import re
import shlex
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer

from headrace import cli
from headrace.commands import models as about_models
from registry.__main__ import app as registry_app
from scheduler import up
from scheduler.doctor.__main__ import app as doctor_app
from workers import check, tune

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").rglob("*.md"))]

#: What `headrace` passes on, and to what.
PASSED_ON: dict[tuple[str, ...], Any] = {
    ("doctor",): doctor_app,
    ("models", "check"): check.app,
    ("models", "tune"): tune.app,
    ("models", "warm"): about_models.app,
    ("models",): registry_app,
}
#: Where one command ends and the shell or another begins.
_SHELL = re.compile(r"\s(?:\||>|<|&&|2>&1|…)\s?.*")
#: Stands for any command.
_SYNOPSIS = re.compile(r"\[--|COMMAND")
_COMMAND = re.compile(r"^(?:\$ )?(?:\w+=\S+ )*(?:\S+/)?headrace (.*)$")


def blocks(page: Path, *languages: str) -> Iterator[str]:
    """What stands between fences."""
    pieces = re.split(r"^```(.*)\n", page.read_text(), flags=re.MULTILINE)
    for language, text in zip(pieces[1::4], pieces[2::4], strict=True):
        if language in languages:
            yield text


def command_lines() -> Iterator[str]:
    """Everything after `headrace` in blocks, and between backquotes where there is an option in it."""
    for page in PAGES:
        shown = [line for block in blocks(page, "console", "") for line in block.replace("\\\n", " ").splitlines()]
        told = re.findall(r"`([^`]*headrace [^`]* --[^`]*)`", page.read_text().replace("\n", " "))
        for line in (*shown, *told):
            for part in line.split(" | "):
                if (found := _COMMAND.match(part)) and not _SYNOPSIS.search(part):
                    yield re.sub(r"\$\([^)]*\)", "ID", found[1])


def parse(words: Sequence[str]) -> None:
    """Read a command line as the program does that gets it; raises or exits if it makes no sense."""
    if words[:1] == ["up"]:
        up._options(words[1:])
        return
    app, rest = cli.app, words
    for begin, other in PASSED_ON.items():
        if tuple(words[: len(begin)]) == begin:
            app, rest = other, words[1:] if other in (registry_app, about_models.app) else words[len(begin) :]
            break
    command = typer.main.get_command(app)
    while rest and isinstance(command, typer.core.TyperGroup):
        _, found, rest = command.resolve_command(command.make_context("headrace", [rest[0]]), list(rest))
        assert found is not None
        command = found
    command.make_context("headrace", list(rest))


LINES = sorted(set(command_lines()))


@pytest.mark.parametrize("line", LINES)
def test_every_command_line_is_understood(line: str) -> None:
    parse(shlex.split(_SHELL.sub("", line), comments=True))


def test_there_are_command_lines_and_nonsense_is_found() -> None:
    assert len(LINES) > 40
    with pytest.raises(Exception, match="No such option: --nonsense"):
        parse(["submit", "m", "1", "--nonsense"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_program_parses(page: Path) -> None:
    for block in blocks(page, "python"):
        ast.parse(textwrap.dedent(block))
