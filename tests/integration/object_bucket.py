"""A server that speaks S3's protocol, in a process of its own, for tests of the registry in a bucket."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from scheduler.embedded_server import free_port
from tests.faults.cluster import poll


@contextmanager
def s3_server(folder: Path) -> Iterator[int]:
    """Its port; `folder` gets its log."""
    port = free_port()
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen([sys.executable, "-m", "moto.server", "-p", str(port)], stdout=log, stderr=log) as server,
    ):
        poll("S3 listens", lambda: _is_listening(port))
        yield port
        server.kill()


def use_bucket(name: str, *, port: int, through: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a bucket, and have this process and its children speak to it `through` a port; answers its URL."""
    httpx2.put(f"http://127.0.0.1:{port}/{name}").raise_for_status()
    for variable, value in {
        "AWS_ENDPOINT": f"http://127.0.0.1:{through}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "anybody",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(variable, value)
    return f"s3://{name}/headrace"


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
