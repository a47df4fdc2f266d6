"""What the registry's commands share: the registry that settings name, how they print and how they say errors."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console

from headrace.errors import HeadraceError, InvalidInput
from headrace.settings import get_settings
from registry.registry import Registry
from registry.release import Release

#: What goes into a pipe or a file is never folded or cut.
_WIDE = 1000
out = Console(width=None if sys.stdout.isatty() else _WIDE)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON value.")]


def open_registry() -> Registry:
    """The registry of the settings."""
    settings = get_settings()
    return Registry(url=settings.registry_location, signers=settings.signers)


def describe_traffic(release: Release) -> str:
    """The shares of a release, as `@1 90%, @2 10%`."""
    shares = release.traffic.shares
    total = sum(shares.values())
    return ", ".join(f"@{version} {100 * weight // total}%" for version, weight in sorted(shares.items()))


def describe_release(release: Release | None) -> str:
    """What a model serves, in words."""
    if release is None:
        return "not released: push it again without --no-release"
    names = [f"@{alias} is @{version}" for alias, version in sorted(release.aliases.items())]
    shadows = [f"@{version} shadows {percent}%" for version, percent in sorted(release.shadows.items())]
    return ", ".join([f"serving {describe_traffic(release)}", *names, *shadows])


def print_json(value: object) -> None:
    """Print one value for a program to read."""
    typer.echo(json.dumps(value, indent=2))


@contextmanager
def said_plainly() -> Iterator[None]:
    """Print an error of ours as one sentence and leave with 1, or 2 if the command was spelled wrong."""
    try:
        yield
    except HeadraceError as error:
        typer.echo(f"headrace models: {error.detail}", err=True)
        raise typer.Exit(2 if isinstance(error, InvalidInput) else 1) from error
