"""How the embedded server is started."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from scheduler import embedded_server
from scheduler.embedded_server import EmbeddedServer, free_port

#: What Linux gives unasked begins here, unless told otherwise; elsewhere later.
FIRST_OF_THE_SYSTEM = 32_768


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    server = EmbeddedServer(folder=tmp_path, port=free_port())
    yield server
    server.kill()


def environment(server: EmbeddedServer) -> str:
    """What the running server was told, of how to allocate among others (the C library may have cut it into pieces)."""
    server.start()
    return Path(f"/proc/{server.pid}/environ").read_text().replace("\0", " ")


def test_the_server_keeps_freed_memory_at_hand_for_the_next_script(server: EmbeddedServer) -> None:
    assert "glibc.malloc.tcache_count=8000" in environment(server)


def test_the_server_may_have_large_pages(server: EmbeddedServer) -> None:
    assert "glibc.malloc.hugetlb=1" in environment(server)
    assert "THP_enabled:\t1" in Path(f"/proc/{server.pid}/status").read_text()


def test_an_operators_own_tuning_stays(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.check=1")

    told = environment(server)

    assert "GLIBC_TUNABLES=glibc.malloc.check=1 " in told
    assert "tcache_count" not in told


def test_no_port_is_given_twice_or_to_whoever_asks_the_system_for_one() -> None:
    ports = [free_port() for _ in range(200)]

    assert len(set(ports)) == len(ports)
    assert max(ports) < FIRST_OF_THE_SYSTEM


def test_a_port_in_use_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    used = free_port()
    monkeypatch.setattr(embedded_server, "_PORTS", [used, free_port()])

    with socket.socket() as user:
        user.bind(("127.0.0.1", used))

        assert used not in {free_port() for _ in range(4)}
