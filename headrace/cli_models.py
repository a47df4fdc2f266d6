"""The command about models that speaks HTTP; the others read and write the registry itself."""

from typing import Annotated

import typer

from headrace.cli_jobs import LOOKING, AsJson, Url, print_json
from headrace.client import Client

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def models() -> None:
    """Models and the workers that run them."""


@app.command()
def warm(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False)],
    for_s: Annotated[int, typer.Option(min=1, max=86_400, help="How long to keep it.")] = 600,
    as_json: AsJson = False,
    url: Url = "",
) -> None:
    """Have workers load a model before its jobs come, whatever makes way for it."""
    with Client(url or None, patience=LOOKING) as client:
        told = client.warm(name, for_s=for_s)
    if as_json:
        print_json([told])
    else:
        versions = ", ".join(f"{name}@{version}" for version in told["versions"])
        typer.echo(f"{versions}: loaded where it is served, and kept until {told['until']}")
