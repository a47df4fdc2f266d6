"""Tuning of a model: `python -m workers.tune NAME|DIR`. Measures passes, and shows what batch sizes and waits come to.

The throughput is that of full batches from a backlog; the p99 is at a steady rate of jobs that arrive at random.
"""

import itertools
import math
import os
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.table import Table

from headrace.errors import HeadraceError, InvalidInput, InvalidModel
from registry.additions import parse_additions
from registry.command_line import out
from workers.runtime import Runtime
from workers.tryout import from_folder, from_registry
from workers.tuning import Row, batch_sizes, median_pass_s, recommend, rows

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

#: Share of the best throughput that is offered when no rate is asked for.
_LOAD = 0.7
_WAITS_MS = (0.0, 5.0, 20.0, 50.0)
_JOBS = 4000
_BAR = 12


@app.command()
def main(
    model: Annotated[str, typer.Argument(metavar="NAME|DIR", help="Published model, or folder with model.py.")],
    entry: Annotated[str, typer.Option(help="Source file and class, as model.py:Embedder.")] = "",
    add: Annotated[list[str] | None, typer.Option(metavar="NAME=PATH", help="Add a file or folder.")] = None,
    device: Annotated[str, typer.Option(help="Device to load onto: cpu, cuda, cuda:0.")] = "cpu",
    rate: Annotated[float, typer.Option(min=0, help="Jobs a second; else 70 % of the best throughput.")] = 0,
    p99_ms: Annotated[float, typer.Option("--p99-ms", min=0, help="Latency that the p99 should stay within.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads, as workers have them.")] = 1,
    seconds: Annotated[float, typer.Option(min=0, help="How long to measure each batch size.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Show throughput and p99 over batch sizes and waits, with the row to use."""
    # Before the model's source imports anything that reads it.
    os.environ["OMP_NUM_THREADS"] = str(threads)
    try:
        with _opened(model, entry=entry or None, add=add or [], device=device) as runtime:
            passes = measure(runtime, seconds=seconds)
    except HeadraceError as error:
        typer.echo(f"headrace models tune: {error.detail}", err=True)
        raise typer.Exit(2 if isinstance(error, InvalidInput) else 1) from error
    offered = rate or _LOAD * max(size / pass_s for size, pass_s in passes.items())
    found = rows(passes, waits_ms=_WAITS_MS, rate_per_s=offered, jobs=_JOBS)
    best = recommend(found, p99_ms=p99_ms or None)
    if as_json:
        rated = [{**row._asdict(), "recommended": row == best} for row in found]
        typer.echo(orjson.dumps({"model": model, "device": device, "rate_per_s": offered, "rows": rated}))
    else:
        _show(found, best, model=f"{model} on {device}", rate_per_s=offered)


def _opened(model: str, *, entry: str | None, add: list[str], device: str) -> AbstractContextManager[Runtime]:
    if Path(model).is_dir():
        return from_folder(Path(model), entry=entry, extra=parse_additions(add), device=device)
    return from_registry(model, device=device)


def measure(runtime: Runtime, *, seconds: float) -> dict[int, float]:
    """Seconds of a pass, all hooks included, by batch size; the batches are made of the examples.

    Raises:
        InvalidModel: if an example fails.
    """
    examples = itertools.cycle([orjson.dumps(example) for example in runtime.manifest.examples])

    def run(size: int) -> None:
        for result in runtime.run(list(itertools.islice(examples, size))):
            if not result.ok:
                raise InvalidModel(f"an example fails: {result.body.decode()}")

    sizes = batch_sizes(runtime.max_batch)
    return {size: median_pass_s(run, size, clock=time.perf_counter, budget_s=seconds) for size in sizes}


def _show(found: list[Row], best: Row, *, model: str, rate_per_s: float) -> None:
    most = max(row.throughput_per_s for row in found)
    longest = max((row.p99_ms for row in found if row.throughput_per_s >= rate_per_s), default=math.inf)
    title = f"{model}, {rate_per_s:,.0f} jobs a second"
    table = Table("batch", "wait ms", "pass ms", "jobs/s", "", "p99 ms", "", "", box=None, title=title)
    for row in found:
        keeps_up = row.throughput_per_s >= rate_per_s
        table.add_row(
            str(row.max_batch),
            f"{row.wait_ms:g}",
            f"{row.pass_ms:.2f}",
            f"{row.throughput_per_s:,.0f}",
            f"[cyan]{bar(row.throughput_per_s / most)}[/]",
            f"{row.p99_ms:,.1f}" if keeps_up else "-",
            f"[magenta]{bar(row.p99_ms / longest)}[/]" if keeps_up else "falls behind",
            "◀" if row == best else "",
            style="bold" if row == best else None,
        )
    out.print(table)
    out.print(f"recommended (◀), as keywords of the class: max_batch={best.max_batch}, max_wait_ms={best.wait_ms:g}")


def bar(share: float) -> str:
    """A share of the whole as a bar of text; never quite nothing."""
    return "█" * max(1, round(share * _BAR))


if __name__ == "__main__":
    app(prog_name="headrace models tune")
