"""The command that calls jobs off: those that are named, or all that filters mean."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeAlias

import typer

from headrace.client import Client
from headrace.commands.jobs import (
    LOOKING,
    After,
    AsJson,
    Before,
    Noted,
    OfModel,
    OfTenant,
    OfTier,
    Url,
    ids_of,
    pair,
    print_json,
    print_table,
)
from headrace.commands.report import Report, status_line
from headrace.errors import HeadraceError, InvalidInput, Unavailable
from headrace.jobs import JobStatus

_Filters: TypeAlias = Mapping[str, Any]


def add_commands(app: typer.Typer) -> None:
    """Give `app` this command."""
    app.command(rich_help_panel="Jobs")(cancel)


def cancel(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID...]", help="- reads one a line.", show_default=False)
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="All that have not ended, or of them those that are meant.")
    ] = False,
    status: Annotated[JobStatus | None, typer.Option(help="Only in this state: queued or running.")] = None,
    model: OfModel = None,
    tier: OfTier = None,
    after: After = None,
    before: Before = None,
    metadata: Noted = None,
    tenant: OfTenant = None,
    confirm: Annotated[
        int | None, typer.Option(min=0, metavar="JOBS", help="With --all: so many may be canceled; else only counts.")
    ] = None,
    as_json: AsJson = False,
    url: Url = "",
) -> None:
    """Cancel the jobs that are named, or with --all those that filters mean; what has ended stays as it is."""
    filters = {
        "status": status,
        "model": model,
        "tier": tier,
        "created_after": after,
        "created_before": before,
        "metadata": dict(map(pair, metadata or ())),
        "tenant": tenant,
    }
    if bool(ids) == every or (ids and (confirm is not None or any(filters.values()))):
        raise InvalidInput("name the jobs to cancel, or give --all with what chooses them (--model, --metadata, …)")
    with Client(url or None, patience=LOOKING) as client:
        if every:
            _cancel_all(client, filters, confirm, as_json=as_json)
        else:
            _cancel_named(client, ids_of(ids or ()), as_json=as_json)


def _cancel_named(client: Client, ids: Sequence[str], *, as_json: bool) -> None:
    report = Report(status_line, names=[""] * len(ids), as_json=as_json)
    for job_id in ids:
        try:
            report.add(client.cancel(job_id))
        except Unavailable:
            raise
        except HeadraceError as error:
            report.add(error)
    report.end()


def _cancel_all(client: Client, filters: _Filters, confirm: int | None, *, as_json: bool) -> None:
    counts = client.cancel_many(confirm=confirm, **filters)
    if as_json:
        print_json([counts])
    elif not counts["matched"]:
        typer.echo("no job that has not ended is meant")
    elif confirm is None:
        typer.echo(f"{counts['matched']} jobs would be canceled; --confirm {counts['matched']} does it")
    else:
        print_table((), [(name, count) for name, count in counts.items() if name != "matched"])
