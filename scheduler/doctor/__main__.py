"""The command `headrace doctor`."""

import sys
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.markup import escape

from headrace.errors import HeadraceError
from headrace.settings import get_settings
from scheduler.doctor.finding import Finding, Verdict
from scheduler.doctor.rounds import make_rounds

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

_COLOURS = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "red"}


@app.command()
def main(
    models: Annotated[bool, typer.Option("--models", help="Load each released model too, as a worker would.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Check what Headrace stands on. Exit code 0: nothing failed, 1: something did, 2: the settings cannot be used."""
    try:
        settings = get_settings()
    except HeadraceError as error:
        typer.echo(f"headrace doctor: {error.detail}", err=True)
        raise typer.Exit(2) from error
    findings = []
    console = Console(highlight=False, soft_wrap=True)
    for finding in make_rounds(settings, with_models=models):
        findings.append(finding)
        if not as_json:
            _show(console, finding)
    if as_json:
        typer.echo(orjson.dumps([finding._asdict() for finding in findings], option=orjson.OPT_INDENT_2))
    raise typer.Exit(any(finding.verdict is Verdict.FAIL for finding in findings))


def _show(console: Console, finding: Finding) -> None:
    colour = _COLOURS[finding.verdict]
    console.print(f"[{colour}]{finding.verdict:<4}[/]  {escape(finding.check):<18}  {escape(finding.detail)}")
    if finding.advice:
        console.print(f"      {'':<18}  [bold]→[/] {escape(finding.advice)}")
    sys.stdout.flush()


if __name__ == "__main__":
    app(prog_name="headrace doctor")
