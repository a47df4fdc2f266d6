"""Commands that say which versions serve: promote, canary, shadow, withdraw, rollback, alias, log."""

from typing import Annotated

import typer
from rich.table import Table

from headrace.model_ref import ModelRef
from registry.command_line import (
    AsJson,
    describe_release,
    describe_traffic,
    open_registry,
    out,
    print_json,
    said_plainly,
)
from registry.release import Release

Version = Annotated[str, typer.Argument(metavar="NAME@VERSION")]
Name = Annotated[str, typer.Argument(metavar="NAME")]
Why = Annotated[str, typer.Option(help="Kept with the release.")]


def install(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (promote, canary, shadow, withdraw, rollback, alias, log):
        app.command()(command)


def promote(version: Version, why: Why = "promoted", as_json: AsJson = False) -> None:
    """Send all new jobs to one version; jobs that wait keep the version they were given."""
    with said_plainly():
        release = open_registry().release(ModelRef.parse(version), why=why)
    _say(release, as_json=as_json)


def canary(
    version: Version,
    percent: Annotated[int, typer.Option(help="Of new jobs, 1 to 99.")] = 5,
    why: Why = "",
    as_json: AsJson = False,
) -> None:
    """Send a share of new jobs to a version, the rest where they went."""
    with said_plainly():
        release = open_registry().canary(ModelRef.parse(version), percent=percent, why=why)
    _say(release, as_json=as_json)


def shadow(
    version: Version,
    percent: Annotated[int, typer.Option(help="Of new jobs, 1 to 100; 0: send no more copies.")] = 10,
    why: Why = "",
    as_json: AsJson = False,
) -> None:
    """Run a share of new jobs on another version too; nobody sees those results, but what fails is counted."""
    with said_plainly():
        release = open_registry().shadow(ModelRef.parse(version), percent=percent, why=why)
    _say(release, as_json=as_json)


def withdraw(version: Version, why: Why = "", as_json: AsJson = False) -> None:
    """Send no new jobs to a version any more; the others share its part."""
    with said_plainly():
        release = open_registry().withdraw(ModelRef.parse(version), why=why)
    _say(release, as_json=as_json)


def rollback(
    name: Name,
    to: Annotated[int | None, typer.Option(metavar="RELEASE", help="Number of a release, as `log` lists it.")] = None,
    why: Why = "",
    as_json: AsJson = False,
) -> None:
    """Put the traffic of an earlier release in force again: the one before, and again the one before that."""
    with said_plainly():
        release = open_registry().log.roll_back(name, to=to, why=why)
    _say(release, as_json=as_json)


def alias(
    name: Name,
    alias: Annotated[str, typer.Argument(metavar="ALIAS", help="As in name@prod.")],
    version: Annotated[int | None, typer.Argument(help="The version that it means; without one it goes.")] = None,
    why: Why = "",
    as_json: AsJson = False,
) -> None:
    """Let NAME@ALIAS mean a version, or nothing any more."""
    with said_plainly():
        release = open_registry().alias(name, alias, version, why=why)
    _say(release, as_json=as_json)


def log(name: Name, as_json: AsJson = False) -> None:
    """List a model's releases, the newest first: what served, who said so and why."""
    with said_plainly():
        entries = open_registry().log.entries(name)[::-1]
    if as_json:
        print_json([entry.document() for entry in entries])
        return
    table = Table("release", "serves", "aliases", "by", "why", "at", box=None)
    for entry in entries:
        aliases = ", ".join(f"{alias}={version}" for alias, version in sorted(entry.aliases.items()))
        why = f"{entry.why} (as release {entry.restores})" if entry.restores else entry.why
        table.add_row(str(entry.seq), describe_traffic(entry), aliases, entry.by, why, entry.at)
    out.print(table)


def _say(release: Release, *, as_json: bool) -> None:
    if as_json:
        print_json(release.document())
        return
    out.print(f"[bold]{release.model}[/] release {release.seq}: {describe_release(release)}")
