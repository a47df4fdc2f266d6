"""What a worker finds out about the models that it should serve."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.keys import Keys
from headrace.store import JobStore
from headrace.worker_class import WorkerClass
from registry.registry import Registry
from tests.integration.engine_rig import wait_until
from tests.model_folder import write_model
from workers.catalog import Catalog


@pytest.fixture
def catalog(tmp_path: Path, redis_url: str, keys: Keys) -> Iterator[Catalog]:
    made = Catalog(
        url=redis_url,
        registry_url=(tmp_path / "registry").as_uri(),
        store=JobStore(keys),
        serves=lambda _: True,
        poll_s=0.01,
        kind=WorkerClass(),
    )
    yield made
    made.stop()


def push(tmp_path: Path) -> None:
    folder = tmp_path / "doubler"
    write_model(folder)
    Registry(url=(tmp_path / "registry").as_uri()).push(folder, name="doubler")


def test_who_finds_a_model_at_once_never_stood_idle(catalog: Catalog, tmp_path: Path) -> None:
    push(tmp_path)

    catalog.start()
    wait_until(lambda: catalog.wanted == {"doubler@1"})

    assert catalog.found_ms == 0


def test_who_finds_none_notes_when_the_first_one_came(catalog: Catalog, tmp_path: Path) -> None:
    catalog.start()
    wait_until(lambda: catalog.has_looked)
    assert catalog.found_ms is None

    push(tmp_path)
    wait_until(lambda: catalog.wanted == {"doubler@1"})

    assert catalog.found_ms
