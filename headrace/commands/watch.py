"""The commands that watch the system: top (what waits, who works, how many there should be) and scaling (and why)."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeAlias

import orjson
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from headrace.client import Client
from headrace.commands.jobs import LOOKING, AsJson, Url, print_table
from headrace.commands.queues import why_of
from headrace.errors import HeadraceError

Document: TypeAlias = Mapping[str, Any]

_QUEUES = ("MODEL", "TIER", "DEPTH", "OLDEST", "WAIT", "RUNNING", "ENDED", "RATE", "WORKERS", "WHY")
_CLASSES = ("CLASS", "WANTED", "READY", "STARTING", "DRAINING", "LEAST", "MOST", "JOBS", "WORK")
_WORKERS = ("WORKER", "CLASS", "STATE", "HELD", "DONE", "BATCHES", "BATCH SIZE", "PASS")
#: Changes that `scaling` prints.
_CHANGES = 10


def add_commands(app: typer.Typer) -> None:
    """Give `app` these commands."""
    for command in (top, scaling):
        app.command(rich_help_panel="System")(command)


def top(
    once: Annotated[bool, typer.Option("--once", help="Print one picture and end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one picture as a JSON object and end.")] = False,
    interval_s: Annotated[
        float, typer.Option("--interval", min=0.1, metavar="SECONDS", help="Time between looks.")
    ] = 1,
    url: Url = "",
) -> None:
    """Watch what waits and runs, by model and tier, and the workers; Ctrl-C ends it."""
    with Client(url or None, patience=LOOKING) as client:
        if as_json:
            typer.echo(orjson.dumps(_look(client)))
        elif once or not Console().is_terminal:
            for title, head, rows in _tables(_look(client)):
                typer.echo(f"{title}\n")
                print_table(head, rows)
                typer.echo()
        else:
            _watch(client, interval_s)


def scaling(as_json: AsJson = False, url: Url = "") -> None:
    """Show how many workers of each class there should be, why, and what changed lately."""
    with Client(url or None, patience=LOOKING) as client:
        document = client.scaling()
    if as_json:
        typer.echo(orjson.dumps(document))
        return
    print_table(_CLASSES, map(_class_row, document["classes"]))
    for row in document["classes"]:
        typer.echo(f"\n{row['worker_class']}: " + "\n  ".join(row["reasons"]))
    if changes := document["changes"][:_CHANGES]:
        typer.echo()
        print_table(("WHEN", "CLASS", "FROM", "TO", "WHY"), map(_change_row, changes))


class Rates:
    """Jobs that ended a second, between two looks. Pure."""

    def __init__(self) -> None:
        self._ended: dict[tuple[str, int, str], int] = {}
        self._at_s = 0.0

    def read(self, queues: Iterable[Document], now_s: float) -> list[Document]:
        """The queues with `per_s` in each; null for one that was not there at the look before."""
        now = {(queue["model"]["name"], queue["model"]["version"], queue["tier"]): queue for queue in queues}
        seconds = now_s - self._at_s
        rated: list[Document] = [
            {**queue, "per_s": max(0, queue["ended"] - self._ended[key]) / seconds if key in self._ended else None}
            for key, queue in now.items()
        ]
        self._ended, self._at_s = {key: queue["ended"] for key, queue in now.items()}, now_s
        return rated


def _look(client: Client) -> dict[str, Any]:
    return {"queues": client.queues(), "workers": client.workers(), "scaling": client.scaling()}


def _watch(client: Client, interval_s: float) -> None:
    try:
        rates = Rates()
        with Live(screen=True, auto_refresh=False) as live:
            while True:
                live.update(picture(client, rates, time.monotonic()), refresh=True)
                time.sleep(interval_s)
    except KeyboardInterrupt:
        return


def picture(client: Client, rates: Rates, now_s: float) -> Group | str:
    """All tables, or what is wrong: an API that comes back is shown again without anybody asking."""
    try:
        seen = _look(client)
        seen["queues"] = rates.read(seen["queues"], now_s)
        return Group(*(_drawn(*table) for table in _tables(seen)))
    except HeadraceError as error:
        return f"{error.detail}; trying again"


def _drawn(title: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, expand=True)
    for name in head:
        table.add_column(name)
    for row in rows:
        table.add_row(*map(str, row))
    return table


# --- rows ------------------------------------------------------------------------------------------------------------


def _tables(seen: Document) -> Iterator[tuple[str, Sequence[str], list[Sequence[object]]]]:
    def rows(row: Callable[[Document], Sequence[object]], documents: Iterable[Document]) -> list[Sequence[object]]:
        return [row(document) for document in documents]

    yield "Queues", _QUEUES, rows(_queue_row, seen["queues"])
    yield "Worker classes", _CLASSES, rows(_class_row, seen["scaling"]["classes"])
    yield "Workers", _WORKERS, rows(_worker_row, seen["workers"])


def _queue_row(queue: Document) -> Sequence[object]:
    model = f"{queue['model']['name']}@{queue['model']['version']}"
    times = (_seconds(queue[name]) for name in ("oldest_age_ms", "wait_ms"))
    rate = "" if queue.get("per_s") is None else f"{queue['per_s']:.1f}/s"
    counts = (queue["running"], queue["ended"], rate, queue["workers"])
    return model, queue["tier"], queue["depth"], *times, *counts, why_of(queue)


def _class_row(row: Document) -> Sequence[object]:
    names = ("worker_class", "count", "ready", "starting", "draining", "min_workers", "max_workers", "jobs")
    return *(row[name] for name in names), f"{row['backlog_s']:.1f} s"


def _worker_row(worker: Document) -> Sequence[object]:
    names = ("worker_class", "state", "jobs_held", "jobs_done", "batches")
    size = f"{worker['jobs_done'] / worker['batches']:.1f}" if worker["batches"] else ""
    return worker["node"] or worker["id"], *(worker[name] for name in names), size, f"{worker['forward_ms']:.1f} ms"


def _change_row(change: Document) -> Sequence[object]:
    return change["at"], change["worker_class"], change["before"], change["after"], change["reason"]


def _seconds(milliseconds: int | None) -> str:
    return "" if milliseconds is None else f"{milliseconds / 1000:.2f} s"
