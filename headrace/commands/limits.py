"""The command that shows what bounds the caller."""

from collections.abc import Mapping

import typer

from headrace.client import Client
from headrace.commands.jobs import LOOKING, AsJson, Url, print_json, print_table
from headrace.commands.rates import said_of
from headrace.tenant_store import Rate


def add_commands(app: typer.Typer) -> None:
    """Give `app` this command."""
    app.command(rich_help_panel="System")(limits)


def limits(as_json: AsJson = False, url: Url = "") -> None:
    """Show what bounds you: requests a second, waiting and running jobs, bytes, seconds."""
    with Client(url or None, patience=LOOKING) as client:
        document = client.limits()
    if as_json:
        print_json([document])
    else:
        print_table((), ((name, _limit(value)) for name, value in document.items()))


def _limit(value: object) -> object:
    if isinstance(value, Mapping):
        return said_of(Rate.model_validate(value))
    return "any" if value is None else value
