"""Fixtures of the fault tests: one cluster a test, ended whatever happens."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.model_ref import ModelRef
from tests.faults.cluster import Cluster
from tests.faults.ledger import Ledger


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
