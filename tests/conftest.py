"""Fixtures that every kind of test shares: one real server a session, one cell of keys a test."""

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headrace.keys import Keys
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from scheduler.embedded_server import EmbeddedServer, free_port

_cells = itertools.count()

#: Tests share few cores with servers and workers, where two threads of one forward pass wait for each other longer than
#: one computes. Read when torch is first imported, and handed on to the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Some tests need programs that not every machine has (a browser, a proxy); one place must run them all."""
    parser.addoption("--require-all", action="store_true", help="fail where a program is missing instead of skipping")
    parser.addoption("--fuzz-time", type=int, default=0, metavar="SECONDS", help="made-up requests for so long")


@pytest.fixture(scope="session")
def fuzz_time_s(request: pytest.FixtureRequest) -> int:
    """For how long requests are made up by chance; 0: a fixed number, always the same."""
    seconds: int = request.config.getoption("--fuzz-time")
    return seconds


@pytest.fixture(scope="session")
def program(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Find a program by its name; without it the test is not run and says so, or fails under `--require-all`."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is not None:
            return path
        missing = f"not run: the program {name} is not installed"
        if request.config.getoption("--require-all"):
            pytest.fail(missing, pytrace=False)
        pytest.skip(missing)

    return find


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
