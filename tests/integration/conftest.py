"""Fixtures for tests against the real server, and for those that use other libraries."""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from headrace.keys import Keys
from headrace.sync_redis import SyncRedis
from tests.integration.script_cell import Cell

if TYPE_CHECKING:
    # It imports torch, which most tests do without.
    from tests.integration.artifacts import Net


@pytest.fixture
def cell(connection: SyncRedis, keys: Keys) -> Cell:
    """Short forms of the operations, on the test's own cell."""
    return Cell(connection=connection, keys=keys)


@pytest.fixture
def library(request: pytest.FixtureRequest) -> Callable[[str], Any]:
    """Import a library of an extra; without it the test is not run and says so, or fails under `--require-all`."""

    def find(name: str) -> Any:
        try:
            return import_module(name)
        except ImportError:
            missing = f"not run: the library {name} is not installed"
            if request.config.getoption("--require-all"):
                pytest.fail(missing, pytrace=False)
            pytest.skip(missing)

    return find


@pytest.fixture
def net() -> "Net":
    """A small network with the same weights each time."""
    import torch

    from tests.integration.artifacts import Net

    torch.manual_seed(1)
    return Net().eval()
