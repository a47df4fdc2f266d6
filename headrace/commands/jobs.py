"""The commands about jobs: submit, wait, get, jobs, workers. They talk to the API and to nothing else.

Results go to standard output, one JSON value a line; everything for people goes to standard error.
"""

import asyncio
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from headrace.async_client import AsyncClient
from headrace.client import Client
from headrace.commands.report import Report, id_line, result_line
from headrace.errors import InvalidInput
from headrace.handles import Job
from headrace.job_record import JobRecord
from headrace.jobs import JobStatus
from headrace.persistence import Patience
from headrace.progress import bar
from headrace.tiers import Tier
from headrace.window import DEFAULT_WINDOW, in_window

Url = Annotated[str, typer.Option("--url", help="Where the API is.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print records as JSON, one a line.")]
TimeoutS = Annotated[float | None, typer.Option("--timeout", metavar="SECONDS", help="Give up waiting then.")]
MoreOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option", metavar="NAME=VALUE", help="Any other of the API's: run_timeout_s=30; may be given often."
    ),
]
OfModel = Annotated[str | None, typer.Option("--model", metavar="NAME[@VERSION]", help="Only of this model.")]
OfTier = Annotated[Tier | None, typer.Option("--tier", help="Only of this tier.")]
After = Annotated[str | None, typer.Option("--after", metavar="TIME", help="Only those that came later: RFC 3339.")]
Before = Annotated[str | None, typer.Option("--before", metavar="TIME", help="Only those that came earlier.")]
OfTenant = Annotated[
    str | None, typer.Option("--tenant", metavar="NAME", help="Another's than yours: needs a key of scope admin.")
]
Noted = Annotated[
    list[str] | None,
    typer.Option("--metadata", metavar="NAME=VALUE", help="Only those submitted with this; may be given often."),
]

#: Whoever looks wants to know at once that nobody answers; whoever submits or waits may sit out a restart.
LOOKING = Patience(give_up_s=2)
_KEEPING_AT_IT = Patience(give_up_s=10)

Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="- reads one a line.", show_default=False)]


def add_commands(app: typer.Typer) -> None:
    """Give `app` these commands."""
    for command in (submit, wait, get, jobs, workers):
        app.command(rich_help_panel="Jobs")(command)


# --- commands --------------------------------------------------------------------------------------------------------


def submit(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="name, or name@version")],
    value: Annotated[str, typer.Argument(metavar="[INPUT]", help="JSON; - reads one JSON value a line")] = "",
    file: Annotated[
        Path | None, typer.Option("--from", "-f", "--file", help="One JSON value a line; - is stdin.")
    ] = None,
    wait_for: Annotated[bool, typer.Option("--wait", "-w", help="Wait, and print results instead of ids.")] = False,
    tier: Annotated[Tier, typer.Option(help="How urgent it is.")] = Tier.STANDARD,
    webhook: Annotated[
        str,
        typer.Option(
            metavar="URL|ENDPOINT",
            help="Gets a signed POST when a job has ended: a URL, or ep_… of `webhooks register`.",
        ),
    ] = "",
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="What you call it by; may be given often.")
    ] = None,
    fairness_key: Annotated[
        str, typer.Option(metavar="KEY", help="Whose it is: those who wait in a queue take turns.")
    ] = "",
    more: MoreOptions = None,
    timeout_s: TimeoutS = None,
    as_json: AsJson = False,
    url: Url = "",
) -> None:
    """Submit one input, or one a line; print ids, or with --wait results in the same order."""
    named = list(_values(value, file))
    names, values = [name for name, _ in named], [value for _, value in named]
    beside: dict[str, Any] = {
        "webhook": webhook or None,
        "metadata": dict(map(pair, metadata or ())),
        "fairness_key": fairness_key or None,
    }
    options = {"tier": tier, **dict(map(option, more or ()))}
    if len(values) > 1 and not wait_for:
        with Client(url or None, patience=_KEEPING_AT_IT) as client:
            handed = client.submit_many(model, values, **beside, **options)
        report = Report(id_line, names=names, as_json=as_json)
        for one in handed:
            report.add(one.accepted if isinstance(one, Job) else one)
        report.end()
        return

    async def act(client: AsyncClient, value: Any) -> JobRecord:
        job = await client.submit(model, value, **beside, **options)
        return await job.wait(timeout_s=timeout_s) if wait_for else job.accepted

    report = Report(result_line if wait_for else id_line, names=names, as_json=as_json)
    asyncio.run(_for_each(values, act, report, url))


def wait(ids: Ids, timeout_s: TimeoutS = None, as_json: AsJson = False, url: Url = "") -> None:
    """Wait for jobs to end and print their results in the order given."""

    async def act(client: AsyncClient, job_id: str) -> JobRecord:
        return await client.wait(job_id, timeout_s=timeout_s)

    named = ids_of(ids)
    report = Report(result_line, names=[""] * len(named), as_json=as_json)
    asyncio.run(_for_each(named, act, report, url))


def get(
    job_id: Annotated[str, typer.Argument(metavar="ID")],
    watch: Annotated[
        bool, typer.Option("--watch", help="Print how it is each time that changes, until it ends.")
    ] = False,
    timeout_s: TimeoutS = None,
    as_json: AsJson = False,
    url: Url = "",
) -> None:
    """Print a job's record."""
    if watch:
        with Client(url or None, patience=_KEEPING_AT_IT) as client:
            for record in client.changes(job_id, timeout_s=timeout_s):
                typer.echo(orjson.dumps(record.document) if as_json else _state(record))
        return
    with Client(url or None, patience=LOOKING) as client:
        document = client.get(job_id).document
    typer.echo(orjson.dumps(document, option=0 if as_json else orjson.OPT_INDENT_2))


def jobs(
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    status: Annotated[JobStatus | None, typer.Option(help="Only in this state.")] = None,
    model: OfModel = None,
    tier: OfTier = None,
    after: After = None,
    before: Before = None,
    metadata: Noted = None,
    tenant: OfTenant = None,
    as_json: AsJson = False,
    url: Url = "",
) -> None:
    """List jobs, newest first."""
    with Client(url or None, patience=LOOKING) as client:
        found = client.jobs(
            limit=limit,
            status=status,
            model=model,
            tier=tier,
            created_after=after,
            created_before=before,
            metadata=dict(map(pair, metadata or ())),
            tenant=tenant,
        )
    documents = [record.document for record in found]
    if as_json:
        print_json(documents)
    else:
        print_table(("ID", "MODEL", "TIER", "STATUS", "WHY", "CREATED"), map(_job_row, documents))


def pair(text: str) -> tuple[str, str]:
    """What `--metadata name=value` says."""
    return _pair(text, "--metadata")


def option(text: str) -> tuple[str, Any]:
    """What `--option name=value` says: the value is JSON if it can be, else a text."""
    name, value = _pair(text, "--option")
    try:
        return name, orjson.loads(value)
    except orjson.JSONDecodeError:
        return name, value


def _pair(text: str, where: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise InvalidInput(f"{where} {text}: write it as name=value")
    return name, value


def workers(as_json: AsJson = False, url: Url = "") -> None:
    """Show the workers that are alive."""
    with Client(url or None, patience=LOOKING) as client:
        documents = client.workers()
    if as_json:
        print_json(documents)
    else:
        print_table(("WORKER", "CLASS", "DEVICE", "STATE", "MODELS", "JOBS", "BATCHES"), map(_worker_row, documents))


# --- many at once ----------------------------------------------------------------------------------------------------


async def _for_each(values: Sequence[Any], act: Callable[..., Any], report: Report, url: str) -> None:
    async with AsyncClient(url or None, patience=_KEEPING_AT_IT) as client:
        with bar(len(values)) as progress:
            await in_window(
                lambda value: act(client, value), values, window=DEFAULT_WINDOW, progress=progress, each=report.add
            )
    report.end()


def ids_of(arguments: Sequence[str]) -> list[str]:
    """The ids that were named, or with `-` those that standard input has."""
    if list(arguments) != ["-"]:
        return list(arguments)
    return [line.strip() for line in sys.stdin if line.strip()]


def _values(text: str, file: Path | None) -> Iterator[tuple[str, Any]]:
    """The inputs, each with what an error calls it."""
    if (file is None) == (not text):
        raise InvalidInput('give either INPUT or --from: headrace submit MODEL \'{"text": "hello"}\'')
    if text and text != "-":
        yield "", parse(text, "INPUT")
        return
    lines = sys.stdin if file is None or str(file) == "-" else _lines(file)
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield f"line {number}", parse(line, f"line {number}")


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file} cannot be read: {error}") from error


def parse(text: str, where: str) -> Any:
    """An input in JSON; `where` it came from is for the message."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        hint = "" if text.lstrip()[:1] in ("{", "[", '"') else "; text is written as '\"hello\"'"
        raise InvalidInput(f"{where} is not JSON: {error.msg} at character {error.colno}{hint}") from error


# --- printing --------------------------------------------------------------------------------------------------------


def print_json(documents: Iterable[Any]) -> None:
    """One document a line."""
    for document in documents:
        typer.echo(orjson.dumps(document))


def print_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Columns side by side, never cut: ids are there to be copied."""
    lines = [[str(cell) for cell in row] for row in (head, *rows) if row]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        typer.echo("  ".join(map(str.ljust, line, widths)).rstrip())


def whereabouts(model: Mapping[str, Any]) -> str:
    """Where a version is that a worker may run: what is not on its device is in host memory, or nowhere yet."""
    if model["parked"]:
        return "parked"
    return "cold" if model["cold"] else str(model["state"])


def _state(record: JobRecord) -> str:
    """How a job is, in a line."""
    place = record.document["queue"] or {}
    before = f"{place['position']} before it" if place.get("position") else ""
    error = record.document["error"] or {}
    said = (record.status, record.reason, before, record.progress, error.get("cause"))
    return "  ".join(str(part) for part in said if part)


def _job_row(job: Mapping[str, Any]) -> tuple[object, ...]:
    why = job["error"]["cause"] if job["error"] else job["reason"]
    if job["status"] == JobStatus.RUNNING:
        why = JobRecord.from_document(job).progress
    return job["id"], _model(job), job["tier"], job["status"], why or "", job["times"]["created"]


def _worker_row(worker: Mapping[str, Any]) -> tuple[object, ...]:
    models = ", ".join(f"{ref} ({whereabouts(model)})" for ref, model in sorted(worker["models"].items()))
    shown = (worker[name] for name in ("id", "worker_class", "device", "state"))
    return *shown, models, worker["jobs_done"], worker["batches"]


def _model(document: Mapping[str, Any]) -> str:
    return f"{document['model']['name']}@{document['model']['version']}"
