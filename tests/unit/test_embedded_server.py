"""How the embedded server is started."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler.embedded_server import EmbeddedServer, free_port


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    server = EmbeddedServer(folder=tmp_path, port=free_port())
    yield server
    server.kill()


def allocation(server: EmbeddedServer) -> str:
    """What the running server was told of how to allocate."""
    server.start()
    variables = Path(f"/proc/{server.pid}/environ").read_text().split("\0")
    return dict(variable.split("=", 1) for variable in variables if variable)["GLIBC_TUNABLES"]


def test_the_server_keeps_freed_memory_at_hand_for_the_next_script(server: EmbeddedServer) -> None:
    assert "tcache_count=8000" in allocation(server)


def test_an_operators_own_tuning_stays(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.check=1")

    assert allocation(server) == "glibc.malloc.check=1"
