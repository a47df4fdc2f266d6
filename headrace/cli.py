"""The command `headrace`: starts and keeps the system, and talks to it.

The package holds the commands that speak HTTP (`commands`). Those that run the services pass on to them, which works
from a checkout only: the services are not part of the package.
"""

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from typing import Annotated

import typer

from headrace.commands import (
    cancel,
    changes,
    dead_letters,
    jobs,
    keys,
    limits,
    queues,
    tenants,
    timeline,
    usage,
    watch,
    webhooks,
)
from headrace.commands import models as about_models
from headrace.errors import (
    HeadraceError,
    JobNotSucceeded,
    RequestError,
    SettingsError,
    Unauthenticated,
    Unavailable,
    WaitTimeout,
)

#: Each paragraph is one line: whoever prints it breaks it where there is no more room.
EXIT_CODES = (
    "Exit codes: 0 done, 1 a job ended without a result, 2 the command or the request is wrong,"
    " 3 out of time (jobs go on), 4 the API cannot be reached or is too busy."
)

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
jobs.add_commands(app)
cancel.add_commands(app)
timeline.add_commands(app)
changes.add_commands(app)
limits.add_commands(app)
watch.add_commands(app)
usage.add_commands(app)
app.add_typer(dead_letters.app, name="dead-letters", rich_help_panel="Jobs")
app.add_typer(keys.app, name="keys", rich_help_panel="System")
app.add_typer(queues.app, name="queues", rich_help_panel="Jobs")
app.add_typer(tenants.app, name="tenants", rich_help_panel="System")
app.add_typer(webhooks.app, name="webhooks", rich_help_panel="System")


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"headrace {version('headrace')}")
        raise typer.Exit


@app.callback(help=f"Asynchronous, queue-based inference.\n\n{EXIT_CODES}")
def headrace(
    is_wanted: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """What stands before the commands."""


#: Those of the registry, of workers, and of the API, in the order in which they are first needed.
MODEL_COMMANDS = (
    *("scaffold", "check", "tune", "push", "import", "ls", "show", "log", "canary", "shadow", "promote", "withdraw"),
    *("rollback", "alias", "versions", "schema", "warm", "where", "keygen", "sign"),
)
_PASSED_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}

_NO_CHECKOUT = (
    "this command runs Headrace's services, which are not part of the installed package. Get the source, run"
    " `make setup` in it, and use the `headrace` of its `.venv/bin`"
)


@app.command(context_settings=_PASSED_ON, rich_help_panel="System")
def up(context: typer.Context) -> None:
    """Run the whole system on this machine; Ctrl-C ends it. Has its own --help."""
    _become("scheduler.up", context.args)


@app.command(context_settings=_PASSED_ON, rich_help_panel="System")
def doctor(context: typer.Context) -> None:
    """Check Redis, clock, disk, ports, object store, GPUs, models, and say what to do. Has its own --help."""
    _become("scheduler.doctor", context.args)


def _model_commands(context: typer.Context, incomplete: str) -> list[str]:
    """For the shell's completion, which must not wait until the registry is imported."""
    return [] if context.params.get("words") else [name for name in MODEL_COMMANDS if name.startswith(incomplete)]


@app.command(context_settings=_PASSED_ON, rich_help_panel="System")
def models(
    words: Annotated[list[str] | None, typer.Argument(hidden=True, autocompletion=_model_commands)] = None,
) -> None:
    """Publish models and send traffic to them: scaffold | check | push | ls | show | where | …, see --help."""
    words = words or ["--help"]
    if words[0] in ("versions", "schema", "warm", "where"):
        about_models.app(words, prog_name="headrace models", standalone_mode=False)
        return
    if words[0] in ("check", "tune"):
        _become(f"workers.{words[0]}", words[1:])
    _become("registry", words)


def _become(module: str, arguments: Sequence[str]) -> None:
    """Go on as `python -m module`: same process, so signals and the exit code need no passing on.

    Raises:
        SettingsError: if we are not in a checkout.
    """
    if find_spec(module.partition(".")[0]) is None or find_spec(module) is None:
        raise SettingsError(_NO_CHECKOUT)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606 - our own program


def exit_code(error: HeadraceError) -> int:
    """What a shell learns of an error."""
    match error:
        case JobNotSucceeded():
            return 1
        case WaitTimeout():
            return 3
        case Unavailable() | RequestError(retryable=True):
            return 4
        case RequestError() | SettingsError():
            return 2
        case _:
            return 1


def main() -> None:
    """Run the command line; whatever Headrace raises on purpose becomes one line and an exit code."""
    try:
        app()
    except HeadraceError as error:
        hint = "; set HEADRACE_API_KEY to one (`headrace keys create`)" if isinstance(error, Unauthenticated) else ""
        typer.echo(f"headrace: {error.detail}{hint}", err=True)
        sys.exit(exit_code(error))
    except BrokenPipeError:
        # Whoever read our output has seen enough; nothing may be flushed into the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


if __name__ == "__main__":
    main()
