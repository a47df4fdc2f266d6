"""What tenants had is kept for so many days, and then forgotten."""

import pytest

from headrace.keys import Keys
from headrace.sync_redis import SyncRedis
from headrace.usage import DAY_MS
from headrace.usage_store import UsageStore
from scheduler.usage_window import UsageWindow
from tests.integration.script_cell import STANDARD, Cell


@pytest.fixture
def window(connection: SyncRedis, keys: Keys) -> UsageWindow:
    """Keeps two days besides the present one."""
    return UsageWindow(usage=UsageStore(keys), connection=connection, kept_days=2)


def use(cell: Cell, tenant: str, day: int) -> None:
    cell.redis.hset(cell.keys.usage(tenant, day), f"{STANDARD}:accepted", 1)
    cell.redis.zadd(cell.keys.usage_days, {f"{tenant}:{day}": day})


def test_days_that_are_past_are_forgotten_and_no_others(cell: Cell, window: UsageWindow) -> None:
    today = cell.now_ms() // DAY_MS
    for tenant in ("a", "b"):
        for day in (today - 40, today - 3, today - 2, today):
            use(cell, tenant, day)

    assert (window.step(), window.step()) == (4, 0)

    assert cell.redis.exists(cell.keys.usage("a", today - 3), cell.keys.usage("b", today - 40)) == 0
    assert [(row.tenant, (row.day.toordinal() - 719_163) - today) for row in cell.usage()] == [
        *(("a", -2), ("b", -2), ("a", 0), ("b", 0)),
    ]
