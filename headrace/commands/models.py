"""The commands about models that speak HTTP; the others read and write the registry itself."""

from collections.abc import Mapping
from typing import Annotated, Any

import orjson
import typer

from headrace.client import Client
from headrace.commands.jobs import LOOKING, AsJson, Url, print_json, print_table, whereabouts

_HEAD = ("MODEL", "WORKER", "CLASS", "WHERE", "HOST MEMORY", "JOBS", "WHY NOT")
_VERSION_HEAD = ("VERSION", "STATE", "OF NEW JOBS", "ALIASES", "DIGEST", "CREATED", "PROBLEM")

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


@app.command()
def versions(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False)],
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many at most.")] = 50,
    as_json: AsJson = False,
    url: Url = "",
) -> None:
    """List a model's versions, the newest first: which get jobs, and how large a part of them."""
    with Client(url or None, patience=LOOKING) as client:
        found = client.model_versions(name, limit=limit)["versions"]
    if as_json:
        print_json(found)
    else:
        print_table(_VERSION_HEAD, [_version_row(version) for version in found])


@app.command()
def schema(
    model: Annotated[str, typer.Argument(metavar="NAME[@VERSION]", show_default=False)],
    as_json: AsJson = False,
    url: Url = "",
) -> None:
    """Print the JSON Schemas of what a version takes and gives; --json prints them on one line."""
    with Client(url or None, patience=LOOKING) as client:
        found = client.model_schema(model)
    typer.echo(orjson.dumps(found, option=0 if as_json else orjson.OPT_INDENT_2))


@app.command()
def where(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Of this model only.", show_default=False)] = "",
    as_json: AsJson = False,
    url: Url = "",
) -> None:
    """Show which workers have which versions: on their devices, parked in host memory, or cold."""
    with Client(url or None, patience=LOOKING) as client:
        workers = client.workers()
    found = sorted(
        ((ref, worker, model) for worker in workers for ref, model in worker["models"].items() if _is_of(ref, name)),
        key=lambda each: (each[0], each[1]["id"]),
    )
    if as_json:
        print_json({"model": ref, "worker": worker["id"], **model} for ref, worker, model in found)
    else:
        print_table(_HEAD, [_row(*row) for row in found])


def _version_row(version: Mapping[str, Any]) -> tuple[object, ...]:
    digest, aliases = (version["digest"] or "")[:12], ", ".join(version["aliases"])
    share = f"{version['share']:.0%}" if version["share"] else ""
    return (
        version["version"],
        version["state"],
        share,
        aliases,
        digest,
        version["created"] or "",
        version["problem"] or "",
    )


def _is_of(ref: str, name: str) -> bool:
    return not name or name in (ref, ref.partition("@")[0])


def _row(ref: str, worker: Mapping[str, Any], model: Mapping[str, Any]) -> tuple[object, ...]:
    parked = f"{model['host_bytes'] / 1e6:,.0f} MB" if model["parked"] else ""
    who = worker["node"] or worker["id"]
    return ref, who, worker["worker_class"], whereabouts(model), parked, model["jobs"], model["error"]
