"""`python -m scheduler.up`, which `headrace up` runs: the whole system on this machine, until Ctrl-C."""

import argparse
import logging
import os
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from headrace import logs
from headrace.addresses import LOOPBACK, Network
from headrace.errors import HeadraceError, SettingsError
from headrace.running import RunningSystem
from headrace.secret_box import make_key_file
from headrace.settings import Settings, get_settings
from headrace.settings_file import unknown_variables
from headrace.worker_class import WorkerClass, default_worker_classes
from scheduler.console import Console
from scheduler.data_folder import DataFolder
from scheduler.embedded_server import EmbeddedServer, free_port
from scheduler.stop_signal import StopSignal
from scheduler.system import System, redis_folder

log = logging.getLogger("headrace.up")

#: What a first look may begin with, wherever we were started.
_EXAMPLE = os.path.relpath(Path(__file__).parents[1] / "examples" / "numpy_scorer")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the system; answers the exit status."""
    stop = StopSignal()
    stop.listen()
    try:
        options = _options(arguments)
        settings, server = _choose(options)
        console = Console(as_json=settings.log_format == "json")
        _log_to(console, settings)
        for name in unknown_variables(Settings.model_fields, os.environ):
            log.warning("%s does nothing: it is no setting (`headrace doctor` says more)", name)
        _refuse_taken_port(settings.api_host, settings.api_port, "--port")
        if options.flower:
            settings.check_flower()
            _refuse_taken_port(settings.flower_host, settings.flower_port, "HEADRACE_FLOWER_PORT")
        with DataFolder(settings.data_dir) as folder:
            make_key_file(settings.data_dir)
            system = System(settings=settings, server=server, console=console, stop=stop, with_flower=options.flower)
            running = RunningSystem(os.getpid(), settings.url, settings.redis_url)
            folder.announce(running)
            system.run(when_ready=lambda: console.plain(_banner(settings, with_flower=options.flower)))
    except HeadraceError as error:
        print(f"headrace up: {error.detail}", file=sys.stderr)  # noqa: T201 - said to the person, not to a log
        return 2
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="headrace up", description="Run the whole system on this machine; Ctrl-C ends it."
    )
    add = parser.add_argument
    add("--redis", metavar="URL", help="use this Redis instead of starting one")
    add("--data-dir", type=Path, metavar="FOLDER", help="models, caches and jobs (default .headrace)")
    add("--port", type=_between(1, 65_535), metavar="N", help="port of the API (default 8080)")
    add("--api", type=_between(1, 64), metavar="N", help="processes of the API, on one port (default 1)")
    add("--workers", type=_between(0, 1_000), metavar="N", help="most workers of each class (default: by cores)")
    add("--flower", action="store_true", help="run Flower too, Celery's monitor (port by HEADRACE_FLOWER_PORT)")
    add("--log-level", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    return parser.parse_args(arguments)


def _between(least: int, most: int) -> Callable[[str], int]:
    """Read a number of this range from the command line."""

    def number(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"'{text}' is not a number from {least} to {most}")
        return int(text)

    return number


def _choose(options: argparse.Namespace) -> tuple[Settings, EmbeddedServer | None]:
    """The settings with the options over them, and the server that we start, if any."""
    given = get_settings()
    port = given.api_port if options.port is None else options.port
    data_dir = (options.data_dir or given.data_dir).absolute()
    redis_url, server = options.redis, None
    if redis_url is None and "redis_url" in given.model_fields_set:
        redis_url = given.redis_url
    if redis_url is None:
        # Under strict durability callers wait for the disk, so it is not to be waited for a second at a time.
        quiet = {"loglevel": "warning", "appendfsync": "always" if given.durability == "strict" else "everysec"}
        server = EmbeddedServer(folder=redis_folder(data_dir), port=free_port(), options=quiet)
        redis_url = server.url
    chosen = {
        "redis_url": redis_url,
        "data_dir": data_dir,
        "api_port": port,
        "api_processes": options.api or given.api_processes,
        "url": f"http://{given.api_host}:{port}",
        "log_level": options.log_level or given.log_level,
        "worker_classes": _with_workers(given, options.workers),
        "webhook_allow_networks": _webhook_networks(given),
    }
    return given.model_copy(update=chosen), server


def _webhook_networks(settings: Settings) -> tuple[Network, ...]:
    """What was set; else this machine, where receivers under development are."""
    return settings.webhook_allow_networks if "webhook_allow_networks" in settings.model_fields_set else LOOPBACK


def _with_workers(settings: Settings, count: int | None) -> dict[str, WorkerClass]:
    """The classes that were set, or those that suit this machine; with a count, no more workers of each than that."""
    classes = settings.worker_classes
    if "worker_classes" not in settings.model_fields_set:
        classes = default_worker_classes(len(os.sched_getaffinity(0)))
    if count is None:
        return classes
    return {name: _at_most(kind, count) for name, kind in classes.items()}


def _at_most(kind: WorkerClass, count: int) -> WorkerClass:
    return kind.model_copy(update={"min_workers": min(kind.min_workers, count), "max_workers": count})


def _refuse_taken_port(host: str, port: int, option: str) -> None:
    """Find out now, not by a crash loop.

    Raises:
        SettingsError: if somebody listens there.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            raise SettingsError(f"port {port} cannot be used ({error}); choose another with {option}") from error


class _ConsoleHandler(logging.Handler):
    """Sends our own log to the console, as if we were one of the processes."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        for line in self.format(record).splitlines():
            self._console.line("up", line)


def _log_to(console: Console, settings: Settings) -> None:
    logs.configure(settings.log_style, service="up", handler=_ConsoleHandler(console))


def _banner(settings: Settings, *, with_flower: bool) -> str:
    # Commands find the models and the API by the data folder.
    usual = Path(".headrace").absolute()
    at = "" if settings.data_dir == usual else f"export HEADRACE_DATA_DIR={settings.data_dir}\n    "
    flower = f"\n  Flower shows each job at http://{settings.flower_host}:{settings.flower_port}" if with_flower else ""
    networks = ", ".join(map(str, settings.webhook_allow_networks))
    allowed = f", and by http to {networks} (webhook_allow_networks)" if networks else ""
    return f"""
  Headrace is up at {settings.url}   (data in {settings.data_dir}; Ctrl-C ends it)
  Its HTTP API, to click through, is at {settings.url}/docs{flower}
  Webhooks may go to public addresses by https{allowed}

  Try in another terminal:
    {at}headrace models push {_EXAMPLE}
    headrace submit numpy_scorer '{{"flow": 1.2, "head": 3, "gate": 0.5}}' --wait
    headrace top
"""


if __name__ == "__main__":
    sys.exit(main())
