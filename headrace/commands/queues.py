"""The commands about queues, one for each model version and tier: what waits, is left alone, or canceled."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from headrace.client import Client
from headrace.commands.jobs import LOOKING, AsJson, Url, print_json, print_table

_HEAD = ("MODEL", "TIER", "DEPTH", "OLDEST", "WORKERS", "WHY")

app = typer.Typer(help="What waits, by model and tier; pause queues, let them go on, empty them.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="As it is listed: MODEL@VERSION:TIER.", show_default=False)]


@app.callback(invoke_without_command=True)
def queues(context: typer.Context, as_json: AsJson = False, url: Url = "") -> None:
    """Show what waits, by model and tier; pause queues, let them go on, empty them."""
    if context.invoked_subcommand is None:
        ls(as_json=as_json, url=url)


@app.command()
def ls(as_json: AsJson = False, url: Url = "") -> None:
    """Show what waits, by model and tier."""
    with Client(url or None, patience=LOOKING) as client:
        documents = client.queues()
    if as_json:
        print_json(documents)
    else:
        print_table(_HEAD, map(_row, documents))


@app.command()
def pause(
    name: Name,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Told to whoever waits.")] = "",
    as_json: AsJson = False,
    url: Url = "",
) -> None:
    """Have no worker take jobs of a queue any more; they are accepted and wait."""
    with Client(url or None, patience=LOOKING) as client:
        told = client.pause_queue(name, reason=reason)
    if as_json:
        print_json([told])
    else:
        typer.echo(f"{name} is paused since {told['paused']['since']}; jobs are accepted and wait")


@app.command()
def resume(name: Name, as_json: AsJson = False, url: Url = "") -> None:
    """Have workers take jobs of a queue again."""
    with Client(url or None, patience=LOOKING) as client:
        told = client.resume_queue(name)
    if as_json:
        print_json([told])
    else:
        typer.echo(f"workers take jobs of {name}")


@app.command()
def purge(
    name: Name,
    confirm: Annotated[
        int | None, typer.Option(min=0, metavar="JOBS", help="So many may be canceled; without it they are counted.")
    ] = None,
    as_json: AsJson = False,
    url: Url = "",
) -> None:
    """Cancel all jobs that wait in a queue, of all tenants; whoever wanted to be told of their end is told."""
    with Client(url or None, patience=LOOKING) as client:
        counts = client.purge_queue(name, confirm=confirm)
    if as_json:
        print_json([counts])
    elif not counts["matched"]:
        typer.echo(f"nothing waits in {name}")
    elif confirm is None:
        typer.echo(f"{counts['matched']} jobs would be canceled; --confirm {counts['matched']} does it")
    else:
        print_table((), [(count, number) for count, number in counts.items() if count != "matched"])


def why_of(queue: Mapping[str, Any]) -> str:
    """Why the jobs of a queue wait; of one that is paused also while none does."""
    if paused := queue.get("paused"):
        return f"PAUSED since {paused['since']}" + (f": {paused['reason']}" if paused["reason"] else "")
    return queue["reason_detail"] or queue["reason"] or ""


def _row(queue: Mapping[str, Any]) -> tuple[object, ...]:
    oldest = "" if queue["oldest_age_ms"] is None else f"{queue['oldest_age_ms'] / 1000:.1f} s"
    model = f"{queue['model']['name']}@{queue['model']['version']}"
    return model, queue["tier"], queue["depth"], oldest, queue["workers"], why_of(queue)
