"""Fixtures that every kind of test shares: one real server a session, one cell of keys a test."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.keys import Keys
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from scheduler.embedded_server import EmbeddedServer, free_port

_cells = itertools.count()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A real Valkey server, shared by all tests of the session; do not stop this one."""
    folder: Path = tmp_path_factory.mktemp("server")
    server = EmbeddedServer(folder=folder, port=free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(server: EmbeddedServer) -> str:
    """Where the shared server is."""
    return server.url


@pytest.fixture
def keys() -> Keys:
    """Keys of a cell that no other test uses, so that tests share a server without seeing each other."""
    return Keys(cell=f"t{next(_cells)}")


@pytest.fixture
def store(keys: Keys) -> JobStore:
    """Operations on the test's own cell."""
    return JobStore(keys)


@pytest.fixture
def connection(redis_url: str) -> Iterator[SyncRedis]:
    """A blocking connection to the shared server."""
    connection = SyncRedis(url=redis_url)
    yield connection
    connection.close()
