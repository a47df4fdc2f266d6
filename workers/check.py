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
from headrace.jobs import MAX_SEED
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


#: What each example is run with, of a model that takes a seed: the least and the greatest.
_SEEDS = (0, MAX_SEED)


class _Case(NamedTuple):
    """An example, by its number from 1, and a seed if the model takes one."""

    example: int
    raw: bytes
    seed: int | None


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
    examples = enumerate(map(orjson.dumps, runtime.manifest.examples), start=1)
    seeds = _SEEDS if runtime.manifest.takes_seed else (None,)
    cases = [_Case(number, raw, seed) for number, raw in examples for seed in seeds]
    alone = _alone(runtime, cases)
    return [
        _batching(runtime, cases, alone, tolerance),
        *([_seeding(runtime, cases, alone, tolerance)] if runtime.manifest.takes_seed else []),
        _schema(runtime.manifest.output_schema, alone[:: len(seeds)]),
        _costs(runtime, [case.raw for case in cases[:: len(seeds)]]),
        *([_parking(runtime, cases, alone, tolerance)] if runtime.can_park else []),
    ]


def _alone(runtime: Runtime, cases: Sequence[_Case]) -> list[Any]:
    return [_result(runtime.run([case.raw], [case.seed])[0], case) for case in cases]


def _result(result: ItemResult, case: _Case) -> Any:
    if not result.ok:
        with_seed = "" if case.seed is None else f" with the seed {case.seed}"
        raise InvalidModel(f"example {case.example} fails{with_seed}: {result.body.decode()}")
    try:
        return orjson.loads(result.body)
    except orjson.JSONDecodeError as error:
        raise InvalidModel(f"the result of example {case.example} is not JSON: {error}") from error


def _batching(runtime: Runtime, cases: Sequence[_Case], alone: Sequence[Any], tolerance: float) -> Finding:
    name = f"a batch of {runtime.max_batch} gives what each example gives alone"
    batch = [i % len(cases) for i in range(runtime.max_batch)]
    results = runtime.run([cases[i].raw for i in batch], [cases[i].seed for i in batch])
    together = [(i, _result(result, cases[i])) for i, result in zip(batch, results, strict=True)]
    worst, other = max(together, key=lambda pair: difference(alone[pair[0]], pair[1]))
    found = difference(alone[worst], other)
    where = "" if found <= tolerance else f", at example {cases[worst].example}"
    little = "; one example says little, add one of another length" if cases[-1].example == 1 else ""
    return Finding(name, found <= tolerance, f"largest difference {found:.1e}{where}{little}")


def _seeding(runtime: Runtime, cases: Sequence[_Case], alone: Sequence[Any], tolerance: float) -> Finding:
    """A pass over the same items that is repeated, as after a failure, must draw the same; with another seed, not."""
    name = "a seed gives the same in a repeated pass, another seed something else"
    some = cases[: runtime.max_batch]
    with runtime.inference():
        staged = runtime.stage_all([(case.raw, b"", case.seed) for case in some])
        first, again = ([runtime.finish(row) for row in runtime.forward(staged).rows] for _ in range(2))
    rows = zip(some, first, again, strict=True)
    found = max(difference(_result(one, case), _result(other, case)) for case, one, other in rows)
    if found > tolerance:
        return Finding(name, False, f"a repeated pass differs by {found:.1e}: keep the seed in the item, no generator")
    pairs = zip(alone[:: len(_SEEDS)], alone[1 :: len(_SEEDS)], strict=True)
    changed = sum(difference(one, other) > 0 for one, other in pairs)
    if not changed:
        return Finding(name, False, "no example changes with the seed: use it, or add an example that draws something")
    return Finding(name, True, f"another seed changes {changed} of {count_in_words(cases[-1].example, 'example')}")


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


def _parking(runtime: Runtime, cases: Sequence[_Case], before: Sequence[Any], tolerance: float) -> Finding:
    name = "what comes back from host memory gives what it gave before"
    try:
        runtime.to_host()
        runtime.to_device()
        after = _alone(runtime, cases)
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
