"""A canary that fails more often loses its traffic, and the release log says why."""

from pathlib import Path

import pytest

from headrace.groups import group_of
from headrace.model_ref import ModelRef
from headrace.sync_redis import SyncRedis
from headrace.tiers import Tier
from registry.registry import Registry
from scheduler.canary_watch import CanaryWatch
from tests.integration.script_cell import Cell
from tests.model_folder import DOUBLER, write_model


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """One version with all traffic and a canary of 10 %."""
    registry = Registry(url=(tmp_path / "store").as_uri())
    for size in (1, 2):
        folder = write_model(tmp_path / "doubler", DOUBLER.replace("max_batch=8", f"max_batch={size}"))
        registry.push(folder, name="doubler", release=size == 1)
    registry.canary(ModelRef("doubler", 2), percent=10)
    return registry


@pytest.fixture
def watch(registry: Registry, cell: Cell, connection: SyncRedis) -> CanaryWatch:
    watch = CanaryWatch(registry=registry, connection=connection, store=cell.store, false_alarm=0.05)
    watch.step()
    return watch


def ended(cell: Cell, version: int, *, jobs: int, failed: int) -> None:
    """So many jobs more of a version have ended."""
    key = cell.keys.queue(group_of(ModelRef("doubler", version), Tier.STANDARD))
    cell.redis.hincrby(key, "ended", jobs)
    cell.redis.hincrby(key, "failed", failed)


def routes(registry: Registry) -> dict[int, int]:
    return registry.releases()["doubler"].routes


def test_a_worse_canary_is_taken_back_with_the_reason_in_the_log(
    registry: Registry, watch: CanaryWatch, cell: Cell
) -> None:
    ended(cell, 1, jobs=900, failed=2)
    ended(cell, 2, jobs=100, failed=6)

    watch.step()

    last = registry.log.entries("doubler")[-1]
    assert ({1: 100}, None, "scheduler") == (last.routes, last.canary, last.by)
    assert "6 of 100 jobs (6.0 %) failed against 2 of 900 jobs (0.2 %)" in last.why


def test_a_canary_that_is_no_worse_keeps_its_traffic(registry: Registry, watch: CanaryWatch, cell: Cell) -> None:
    for _ in range(20):
        ended(cell, 1, jobs=90, failed=2)
        ended(cell, 2, jobs=10, failed=0)
        watch.step()

    assert routes(registry) == {1: 90, 2: 10}


def test_what_failed_before_the_canary_began_is_not_held_against_it(
    registry: Registry, cell: Cell, connection: SyncRedis
) -> None:
    ended(cell, 2, jobs=100, failed=100)
    watch = CanaryWatch(registry=registry, connection=connection, store=cell.store, false_alarm=0.05)

    watch.step()
    watch.step()

    assert routes(registry) == {1: 90, 2: 10}


def test_a_canary_promoted_in_the_meantime_stays(registry: Registry, watch: CanaryWatch, cell: Cell) -> None:
    ended(cell, 2, jobs=100, failed=50)
    registry.release(ModelRef("doubler", 2))

    watch.step()

    assert routes(registry) == {2: 100}
