"""Starting a worker: `python -m workers --worker-class on-demand --name w1`."""

import argparse
import sys
import warnings
from importlib import import_module

from celery.platforms import SecurityWarning
from celery.signals import setup_logging

from headrace import logs
from headrace.errors import SettingsError
from headrace.settings import Settings, get_settings
from headrace.webhooks import COURIER_CLASS
from workers.app import COURIER_QUEUE, PLAIN_QUEUE, make_app
from workers.device_lease import leased_device
from workers.identity import class_of
from workers.spare import wait_as_spare


def launch() -> None:
    """Run a Celery worker with the options that a job worker needs."""
    options = _options()
    settings = _settings_for(options.worker_class)
    logs.configure(settings.log_style, service="worker")
    if options.worker_class != COURIER_CLASS:
        _import_tasks(settings)
    # Or Celery would set handlers of its own.
    setup_logging.connect(_leave_logging_alone)
    # Celery warns root against pickle; this worker accepts JSON only, and containers run as whom they like.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    wake = wait_as_spare(settings, class_of(settings, options.worker_class)) if options.spare else None
    app = make_app(settings, worker_class=options.worker_class, wake=wake)
    # One thread for plain tasks: the models run in a process of their own. Gossip and mingle would make each worker
    # talk to every other for nothing.
    queue = COURIER_QUEUE if options.worker_class == COURIER_CLASS else PLAIN_QUEUE
    arguments = ["--quiet", "worker", "--pool", "threads", "--concurrency", "1", "--queues", queue]
    arguments += ["--hostname", f"{wake.node if wake else options.name}@%h", "--without-gossip", "--without-mingle"]
    with leased_device(settings, options.worker_class):
        app.worker_main([*arguments, "--loglevel", settings.log_level])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m workers", description="Run one Headrace worker.")
    parser.add_argument(
        "--worker-class", default="on-demand", help="a class of the settings (worker_classes), or courier"
    )
    parser.add_argument("--name", default="worker", help="node name; unique on this host")
    parser.add_argument(
        "--spare", action="store_true", help="import everything, then wait for a line on standard input: the node name"
    )
    return parser.parse_args()


def _settings_for(worker_class: str) -> Settings:
    """The settings, which know the class; else the process ends and says why."""
    try:
        settings = get_settings()
        if worker_class != COURIER_CLASS:
            class_of(settings, worker_class)
    except SettingsError as error:
        sys.exit(f"error: {error.detail}")
    return settings


def _import_tasks(settings: Settings) -> None:
    """Have the plain tasks of others register themselves."""
    for name in settings.plain_task_modules:
        try:
            import_module(name)
        except ImportError as error:
            sys.exit(f"error: plain_task_modules: {name} cannot be imported: {error}; put it where Python finds it")


def _leave_logging_alone(**_: object) -> None:
    """That somebody listens to the signal is all that Celery asks."""
