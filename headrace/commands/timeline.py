"""The command that tells what happened to a job, step by step."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any

import typer

from headrace.client import Client
from headrace.commands.jobs import LOOKING, AsJson, Url, print_json, print_table
from headrace.words import count_in_words, time_in_words

_WAITS = (("scheduled_ms", "for its time"), ("queue_ms", "in the queue"), ("batch_ms", "with a worker"))


def add_commands(app: typer.Typer) -> None:
    """Give `app` this command."""
    app.command(rich_help_panel="Jobs")(timeline)


def timeline(
    job_id: Annotated[str, typer.Argument(metavar="ID", show_default=False)], as_json: AsJson = False, url: Url = ""
) -> None:
    """Show what happened to a job and when: its steps, what it waited for, its attempts."""
    with Client(url or None, patience=LOOKING) as client:
        document = client.timeline(job_id)
    if as_json:
        print_json([document])
        return
    print_table(("AT", "AFTER", "STEP", "DETAIL"), _steps(document["steps"]))
    for line in _summary(document):
        typer.echo(line)
    if document["earlier_attempts"]:
        typer.echo("\nattempts that came to no result")
        print_table(("WORKER", "BATCH", "STARTED", "ENDED", "WHY"), map(_attempt, document["earlier_attempts"]))


def _steps(steps: list[Mapping[str, Any]]) -> Iterator[tuple[object, ...]]:
    for step in steps:
        after = datetime.fromisoformat(step["at"]) - datetime.fromisoformat(steps[0]["at"])
        yield step["at"], time_in_words(after.total_seconds()), step["step"], step["detail"] or ""


def _summary(document: Mapping[str, Any]) -> Iterator[str]:
    waits = [f"{_ms(document['waits'][name])} {what}" for name, what in _WAITS if document["waits"][name]]
    if waits:
        yield f"waited {', '.join(waits)}"
    if document["ran_ms"] is not None:
        others = f" of a batch of {document['batch_size']}" if document["batch_size"] else ""
        spent = "" if document["spent_ms"] is None else f", {_ms(document['spent_ms'])} of it this job's part"
        yield f"ran {_ms(document['ran_ms'])} in a pass{others}{spent}, on {document['worker']}"
    if document["attempts"] > 1:
        yield f"{count_in_words(document['attempts'], 'attempt')}; {document['workers_lost']} lost with their workers"


def _attempt(attempt: Mapping[str, Any]) -> tuple[object, ...]:
    return tuple(attempt[name] or "" for name in ("worker", "batch_size", "started", "ended", "reason"))


def _ms(milliseconds: float) -> str:
    return time_in_words(milliseconds / 1000)
