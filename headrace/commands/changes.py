"""The commands that change a job, try it again, delete it, or ask what would become of one."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import orjson
import typer

from headrace.client import Client
from headrace.commands.jobs import LOOKING, AsJson, MoreOptions, Url, option, pair, parse, print_json, print_table
from headrace.tiers import Tier
from headrace.words import time_in_words

JobId = Annotated[str, typer.Argument(metavar="ID", show_default=False)]
Deadline = Annotated[
    str | None, typer.Option(metavar="WHEN", help="RFC 3339, or from now on: seconds, PT2M.", show_default=False)
]


def add_commands(app: typer.Typer) -> None:
    """Give `app` these commands."""
    for command in (retry, amend, erase, estimate):
        app.command(rich_help_panel="Jobs")(command)


def retry(job_id: JobId, as_json: AsJson = False, url: Url = "") -> None:
    """Make a new job of one that failed, expired or was canceled; print its id."""
    with Client(url or None, patience=LOOKING) as client:
        record = client.retry(job_id)
    typer.echo(orjson.dumps(record.document) if as_json else record.id)


def amend(
    job_id: JobId,
    tier: Annotated[Tier | None, typer.Option(help="How urgent it is from now on.")] = None,
    deadline: Annotated[
        str | None, typer.Option(metavar="WHEN", help="RFC 3339, or from now on: seconds, PT2M; none takes it away.")
    ] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Replaces all that it had; may be given often.")
    ] = None,
    webhook: Annotated[
        str | None, typer.Option(metavar="URL|ENDPOINT", help="Who is told of its end from now on; none for nobody.")
    ] = None,
    as_json: AsJson = False,
    url: Url = "",
) -> None:
    """Change a job that waits; what is not named stays as it is."""
    changes: dict[str, Any] = {} if tier is None else {"tier": tier}
    if deadline is not None:
        changes["deadline"] = None if deadline == "none" else _moment(deadline)
    if metadata:
        changes["metadata"] = dict(map(pair, metadata))
    if webhook is not None:
        changes["webhook"] = None if webhook == "none" else webhook
    with Client(url or None, patience=LOOKING) as client:
        record = client.amend(job_id, **changes)
    if as_json:
        print_json([record.document])
    else:
        print_table((), [(record.id, record.status, record.document["tier"])])


def erase(job_id: JobId, as_json: AsJson = False, url: Url = "") -> None:
    """Delete input, result, metadata and record of a job; one that has not ended is canceled first."""
    with Client(url or None, patience=LOOKING) as client:
        left = client.erase(job_id)
    if as_json:
        print_json([{"id": job_id, "erased": left is None, "status": left and left.status}])
    else:
        print_table((), [(job_id, "erased" if left is None else f"{left.status}: its record stays for now")])


def estimate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="name, or name@version")],
    value: Annotated[str, typer.Argument(metavar="INPUT", help="JSON", show_default=False)],
    tier: Annotated[Tier, typer.Option(help="How urgent it would be.")] = Tier.STANDARD,
    deadline: Deadline = None,
    more: MoreOptions = None,
    as_json: AsJson = False,
    url: Url = "",
) -> None:
    """Say what would become of an input; nothing is stored."""
    options = {"tier": tier, **dict(map(option, more or ()))}
    if deadline is not None:
        options["deadline"] = _moment(deadline)
    with Client(url or None, patience=LOOKING) as client:
        document = client.estimate(model, parse(value, "INPUT"), **options)
    if as_json:
        print_json([document])
    else:
        print_table((), _estimate_rows(document))


def _moment(text: str) -> str | float:
    """Seconds are a number; what else it may be the API knows."""
    return float(text) if text.replace(".", "", 1).isdecimal() else text


def _estimate_rows(document: Mapping[str, Any]) -> Iterator[tuple[object, object]]:
    place = document["queue"]
    yield "admissible", "yes" if document["admissible"] else "no"
    if refusal := document["refusal"]:
        yield "refused", f"{refusal['code']}: {refusal['detail']}"
    if twin := document["duplicate_of"]:
        yield "duplicate of", twin
    yield "waits for", document["reason_detail"] or document["reason"]
    yield "position", "-" if place["position"] is None else place["position"]
    for name, what in (("starts", "start"), ("ends", "finish")):
        eta = place["eta"]
        yield name, "-" if eta is None else f"about {eta[f'{what}_p50']}; nine in ten by {eta[f'{what}_p90']}"
    if document["meets_deadline"] is not None:
        yield "in time", "yes" if document["meets_deadline"] else "no"
    yield "work", "-" if document["seconds"] is None else f"{time_in_words(document['seconds'])} of a worker"
