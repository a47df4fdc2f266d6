"""This host: room on the disk, and the ports."""

import os
import shutil
import socket
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from headrace.running import RunningSystem, find_running
from headrace.settings import Settings
from scheduler.doctor.finding import Finding, fail, ok, warn

_LITTLE_BYTES, _TOO_LITTLE_BYTES = 2 * 10**9, 2 * 10**8


def look_at_disk(folder: Path) -> Finding:
    """Tell whether the data folder can be written, and how much fits."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            free = shutil.disk_usage(there).free
    except OSError as error:
        advice = "give this user the folder, or choose another with HEADRACE_DATA_DIR"
        return fail("disk", f"{there} cannot be written: {error.strerror}", advice)
    return judge_room(folder, free)


def judge_room(folder: Path, free_bytes: int) -> Finding:
    """What is to be said of so much room."""
    detail = f"{free_bytes / 1e9:.1f} GB free at {folder}"
    advice = "make room: models, their checked copies and the append-only file lie there"
    if free_bytes < _TOO_LITTLE_BYTES:
        return fail("disk", detail, advice)
    return warn("disk", detail, advice) if free_bytes < _LITTLE_BYTES else ok("disk", detail)


def look_at_ports(settings: Settings) -> list[Finding]:
    """Tell whether the API and Flower can listen, or do already."""
    running = find_running(settings.data_dir)
    return [
        _port("api port", settings.api_host, _api_port(settings, running), "/livez", "HEADRACE_API_PORT"),
        _port("flower port", settings.flower_host, settings.flower_port, "/healthcheck", "HEADRACE_FLOWER_PORT"),
    ]


def _api_port(settings: Settings, running: RunningSystem | None) -> int:
    """Where the `headrace up` on the data folder has its API, else where it would."""
    return (running and urllib.parse.urlsplit(running.url).port) or settings.api_port


def _port(check: str, host: str, port: int, path: str, variable: str) -> Finding:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if _answers(f"http://{_local(host)}:{port}{path}"):
                return ok(check, f"{port} is answered by what belongs there")
            words = os.strerror(error.errno) if error.errno else str(error)
            return fail(check, f"{host}:{port} cannot be used: {words}", f"choose another with {variable}")
    return ok(check, f"{port} is free")


def _local(host: str) -> str:
    """Where a server on this host is asked that binds this address."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - looked for, not bound
    return f"[{name}]" if ":" in name else name


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2.0) as answer:  # noqa: S310 - our own http URL
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
