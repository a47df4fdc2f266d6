"""Fixtures of the fault tests: one cluster a test, ended whatever happens."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headrace.model_ref import ModelRef
from tests.faults.cluster import Cluster
from tests.faults.ledger import Ledger


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long one test is to last."""
    parser.addoption("--kills", type=int, default=KILLS, help="kills of Redis in the middle of a drain")


#: A minute and a half; `--kills 100` takes four.
KILLS = 40

_FIGURES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def figure(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Takes a line that is printed when all tests are over."""
    return pytestconfig.stash.setdefault(_FIGURES, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """What was measured on the way."""
    if figures := config.stash.get(_FIGURES, []):
        terminalreporter.section("figures")
        for line in figures:
            terminalreporter.write_line(line)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A running server; the test starts the rest."""
    cluster = Cluster(folder=tmp_path)
    cluster.start_server()
    yield cluster
    cluster.close()


@pytest.fixture
def ref(cluster: Cluster) -> ModelRef:
    """The exact function, published."""
    return cluster.push_model()


@pytest.fixture
def ledger(cluster: Cluster, ref: ModelRef) -> Ledger:
    """The jobs of the test."""
    return Ledger(cluster=cluster, ref=ref)
