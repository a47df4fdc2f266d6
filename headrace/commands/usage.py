"""The command about what tenants had."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from headrace.client import Client
from headrace.commands.jobs import LOOKING, AsJson, Url, print_json, print_table
from headrace.usage import as_csv, rows_of
from headrace.words import size_in_words, time_in_words


def add_commands(app: typer.Typer) -> None:
    """Give `app` this command."""
    app.command(rich_help_panel="System")(usage)


def usage(
    first: Annotated[str | None, typer.Option("--from", metavar="DAY", help="The first day, 2030-01-31.")] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="DAY", help="The last one; else today.")] = None,
    tenant: Annotated[
        str | None, typer.Option(metavar="NAME", help="Another's than your own, or * for all: for keys of scope admin.")
    ] = None,
    as_csv_text: Annotated[bool, typer.Option("--csv", help="Print a CSV file.")] = False,
    as_json: AsJson = False,
    url: Url = "",
) -> None:
    """Show jobs, milliseconds of devices and bytes, by day, model version and tier."""
    with Client(url or None, patience=LOOKING) as client:
        documents = client.usage(first=first, last=last, tenant=tenant)
    if as_json:
        print_json(documents)
    elif as_csv_text:
        typer.echo(as_csv(documents), nl=False)
    else:
        print_table(_HEAD, map(_row, documents))


_HEAD = ("TENANT", "DAY", "MODEL", "TIER", "ACCEPTED", "SUCCEEDED", "FAILED", "CANCELED", "EXPIRED", "GPU", "IN", "OUT")


def _row(one: Mapping[str, Any]) -> Sequence[object]:
    [[tenant, day, model, version, tier, *counts, gpu_ms, got, gave]] = rows_of([one])
    return (
        tenant,
        day,
        f"{model}@{version}",
        tier,
        *counts,
        time_in_words(gpu_ms / 1000),
        size_in_words(got),
        size_in_words(gave),
    )
