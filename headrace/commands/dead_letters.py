"""The commands about dead letters: jobs that were given up."""

from collections.abc import Mapping
from typing import Annotated, Any

import orjson
import typer

from headrace.client import Client
from headrace.commands.jobs import LOOKING, AsJson, Url, print_json, print_table
from headrace.errors import InvalidInput
from headrace.jobs import Cause

app = typer.Typer(no_args_is_help=True, help="Jobs that were given up: look at them, send them again.")

Model = Annotated[str | None, typer.Option(metavar="NAME[@VERSION]", help="Only of this model.")]
ForCause = Annotated[Cause | None, typer.Option(help="Only those given up for this.")]
Limit = Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")]


@app.command()
def ls(model: Model = None, cause: ForCause = None, limit: Limit = 20, as_json: AsJson = False, url: Url = "") -> None:
    """List them, newest first."""
    with Client(url or None, patience=LOOKING) as client:
        documents = client.dead_letters(limit=limit, model=model, cause=cause)
    if as_json:
        print_json(documents)
        return
    print_table(("ID", "MODEL", "TIER", "CAUSE", "ATTEMPTS", "ENDED", "DETAIL"), map(_row, documents))


@app.command()
def show(
    job_id: Annotated[str, typer.Argument(metavar="ID", show_default=False)], as_json: AsJson = False, url: Url = ""
) -> None:
    """Print one with its input."""
    with Client(url or None, patience=LOOKING) as client:
        document = client.dead_letter(job_id)
    typer.echo(orjson.dumps(document, option=0 if as_json else orjson.OPT_INDENT_2))


@app.command()
def redrive(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", show_default=False)] = None,
    every: Annotated[bool, typer.Option("--all", help="All that --model and --cause mean, at most --limit.")] = False,
    model: Model = None,
    cause: ForCause = None,
    limit: Limit = 100,
    as_json: AsJson = False,
    url: Url = "",
) -> None:
    """Send some, or with --all many, again as new jobs; prints the new ids."""
    if bool(ids) == every:
        raise InvalidInput("name the jobs, or --all: headrace dead-letters redrive --all --model embedder")
    with Client(url or None, patience=LOOKING) as client:
        if every:
            letters = client.dead_letters(limit=limit, model=model, cause=cause)
            ids = [letter["id"] for letter in reversed(letters)]
        made = [(job_id, client.redrive(job_id)) for job_id in ids or ()]
    if as_json:
        print_json({"id": job_id, "job": record.id} for job_id, record in made)
    else:
        print_table(("ID", "NEW JOB"), [(job_id, record.id) for job_id, record in made])


def _row(letter: Mapping[str, Any]) -> tuple[object, ...]:
    model, error = letter["model"], letter["error"]
    shown = (letter["id"], f"{model['name']}@{model['version']}", letter["tier"], error["cause"], letter["attempts"])
    return *shown, letter["times"]["finished"], error["detail"]
