"""Conformance check of a model: `python -m workers.check DIR`. Does for one model what a worker would, and compares.

A model that batches must not let items see one another: a batch of its examples has to give what each gives alone.
"""

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jsonschema_rs
import orjson
import typer
from rich.table import Table

from headrace.errors import HeadraceError, InvalidInput, InvalidModel
from headrace.words import count_in_words
from registry.additions import parse_additions
from registry.command_line import out
from workers.failures import ItemResult
from workers.runtime import Runtime
from workers.tryout import from_folder
from workers.tune import measure

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


#: How long each batch size is measured.
_TIMING_S = 0.1


class Finding(NamedTuple):
    """What one check found."""

    check: str
    ok: bool
    detail: str


@app.command()
def main(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with model.py and its files.")],
    entry: Annotated[str, typer.Option(help="Source file and class, as model.py:Embedder.")] = "",
    add: Annotated[list[str] | None, typer.Option(metavar="NAME=PATH", help="Add a file or folder.")] = None,
    device: Annotated[str, typer.Option(help="Device to load onto: cpu, cuda, cuda:0.")] = "cpu",
    tolerance: Annotated[float, typer.Option(help="Relative and absolute difference allowed.")] = 1e-4,
    timing: Annotated[bool, typer.Option(help="Measure passes of each batch size, too.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Check that a model keeps length, order, schema and, batched, its results. Exit code 1 if it does not."""
    try:
        begun = time.monotonic()
        with from_folder(folder, entry=entry or None, extra=parse_additions(add or []), device=device) as runtime:
            findings = [_loaded(begun, device), *_compare(runtime, tolerance)]
            passes = measure(runtime, seconds=_TIMING_S) if timing else {}
    except HeadraceError as error:
        typer.echo(f"headrace models check: {error.detail}", err=True)
        raise typer.Exit(2 if isinstance(error, InvalidInput) else 1) from error
    if as_json:
        _print_json(findings, passes)
    else:
        _print_tables(folder, findings, passes)
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


def check(
    folder: Path,
    *,
    entry: str | None = None,
    extra: Mapping[str, Path] | None = None,
    device: str = "cpu",
    tolerance: float = 1e-4,
) -> list[Finding]:
    """Load a folder's model as a worker would and try it on its examples.

    Raises:
        InvalidModel: if it cannot be published or loaded at all.
    """
    begun = time.monotonic()
    with from_folder(folder, entry=entry, extra=extra or {}, device=device) as runtime:
        return [_loaded(begun, device), *_compare(runtime, tolerance)]


def _loaded(begun: float, device: str) -> Finding:
    return Finding("loads and warms up", True, f"{time.monotonic() - begun:.1f} s on {device}")


def _compare(runtime: Runtime, tolerance: float) -> list[Finding]:
    raws = [orjson.dumps(example) for example in runtime.manifest.examples]
    alone = [_result(runtime.run([raw])[0], i) for i, raw in enumerate(raws, start=1)]
    batch = [i % len(raws) for i in range(runtime.max_batch)]
    together = runtime.run([raws[i] for i in batch])
    results = [(i, _result(result, i + 1)) for i, result in zip(batch, together, strict=True)]
    return [
        _batching(alone, results, tolerance),
        _schema(runtime.manifest.output_schema, alone),
        _costs(runtime, raws),
        *([_parking(runtime, raws, alone, tolerance)] if runtime.can_park else []),
    ]


def _result(result: ItemResult, example: int) -> Any:
    if not result.ok:
        raise InvalidModel(f"example {example} fails: {result.body.decode()}")
    try:
        return orjson.loads(result.body)
    except orjson.JSONDecodeError as error:
        raise InvalidModel(f"the result of example {example} is not JSON: {error}") from error


def _batching(alone: Sequence[Any], together: Sequence[tuple[int, Any]], tolerance: float) -> Finding:
    name = f"a batch of {len(together)} gives what each example gives alone"
    worst = max(together, key=lambda pair: difference(alone[pair[0]], pair[1]))
    found = difference(alone[worst[0]], worst[1])
    detail = f"largest difference {found:.1e}" + ("" if found <= tolerance else f", at example {worst[0] + 1}")
    if len(alone) == 1:
        detail += "; one example says little, add one of another length"
    return Finding(name, found <= tolerance, detail)


def _schema(schema: dict[str, Any], results: Sequence[Any]) -> Finding:
    validator = jsonschema_rs.validator_for(schema)
    for i, result in enumerate(results, start=1):
        for error in validator.iter_errors(result):
            return Finding("results fit the output schema", False, f"example {i}: {error.message}")
    return Finding("results fit the output schema", True, count_in_words(len(results), "example"))


def _costs(runtime: Runtime, raws: Sequence[bytes]) -> Finding:
    name = "cost is a whole number from 0"
    try:
        costs: list[Any] = [runtime.cost(runtime.prepare(raw)) for raw in raws]
    except Exception as error:  # noqa: BLE001 - an author's hook may raise anything
        return Finding(name, False, f"{type(error).__name__}: {error}")
    ok = all(isinstance(cost, int) and cost >= 0 for cost in costs)
    return Finding(name, ok, f"examples cost {', '.join(map(repr, costs))}")


def _parking(runtime: Runtime, raws: Sequence[bytes], before: Sequence[Any], tolerance: float) -> Finding:
    name = "what comes back from host memory gives what it gave before"
    try:
        runtime.to_host()
        runtime.to_device()
        after = [_result(runtime.run([raw])[0], i) for i, raw in enumerate(raws, start=1)]
    except Exception as error:  # noqa: BLE001 - an author's hook may raise anything
        return Finding(name, False, f"{type(error).__name__}: {error}")
    found = max(map(difference, before, after), default=0.0)
    return Finding(name, found <= tolerance, f"largest difference {found:.1e}")


def difference(one: Any, other: Any) -> float:
    """How far two JSON values are apart: 0 if equal, infinite if they differ in anything but numbers.

    For numbers, the smaller of the absolute and the relative difference.
    """
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return max(map(difference, one, other), default=0.0)
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return max((difference(one[key], other[key]) for key in one), default=0.0)
    if _is_number(one) and _is_number(other):
        return float(abs(one - other) / max(1.0, abs(one), abs(other)))
    return 0.0 if one == other else math.inf


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _print_json(findings: Sequence[Finding], passes: Mapping[int, float]) -> None:
    timing = [{"batch": size, "pass_ms": 1000 * pass_s, "per_s": size / pass_s} for size, pass_s in passes.items()]
    typer.echo(orjson.dumps({"findings": [finding._asdict() for finding in findings], "timing": timing}))


def _print_tables(folder: Path, findings: Sequence[Finding], passes: Mapping[int, float]) -> None:
    table = Table("", "check", "found", box=None)
    for finding in findings:
        table.add_row("[green]ok[/]" if finding.ok else "[red]NO[/]", finding.check, finding.detail)
    out.print(table)
    timing = Table("batch", "pass ms", "ms an item", "items/s", box=None)
    for size, pass_s in passes.items():
        timing.add_row(str(size), f"{1e3 * pass_s:.3f}", f"{1e3 * pass_s / size:.4f}", f"{size / pass_s:,.0f}")
    if passes:
        out.print(timing)
    failed = [finding for finding in findings if not finding.ok]
    if failed:
        out.print(f"[red]{folder} does not conform:[/] {failed[0].check}: {failed[0].detail}")


if __name__ == "__main__":
    app(prog_name="headrace models check")
