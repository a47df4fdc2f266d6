"""Fixtures for tests against the real server."""

import pytest

from headrace.keys import Keys
from headrace.sync_redis import SyncRedis
from tests.integration.script_cell import Cell


@pytest.fixture
def cell(connection: SyncRedis, keys: Keys) -> Cell:
    """Short forms of the operations, on the test's own cell."""
    return Cell(connection=connection, keys=keys)
