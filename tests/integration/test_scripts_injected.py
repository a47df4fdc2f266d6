"""Every script, stopped in place of every one of its calls: nothing accepted is lost, whatever write was the last.

The server rolls nothing back when a script raises. Each scenario is run once for every call its script makes: the call
is stopped there, the promises are checked, the same operation is sent again, and a simple worker brings all jobs to an
end.
"""

from collections.abc import Callable

import pytest

from headrace.keys import Keys
from headrace.redis_op import script_names
from headrace.sync_redis import SyncRedis
from tests.integration.script_bench import Bench, Scenario
from tests.integration.script_ledger import Ledger
from tests.integration.script_scenarios import SCENARIOS
from tests.integration.script_stories import STORIES

READ_ONLY = {"browse", "caps", "depths", "dues", "follow_deliveries", "held", "place", "read_deliveries", "waiting"}
CASES = [(script, scenario) for script, scenarios in SCENARIOS.items() for scenario in scenarios]


def test_every_script_that_writes_has_a_scenario() -> None:
    assert set(script_names()) == set(SCENARIOS) | READ_ONLY


@pytest.mark.parametrize(("script", "scenario"), CASES, ids=lambda value: getattr(value, "__name__", value))
def test_nothing_is_lost_wherever_a_script_stops(
    connection: SyncRedis, keys: Keys, script: str, scenario: Scenario
) -> None:
    calls = Bench(connection, keys.cell).stop_everywhere(script, scenario)

    assert calls > 0


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_the_promises_hold_when_nothing_stops(
    connection: SyncRedis, keys: Keys, story: Callable[[Ledger], None]
) -> None:
    ledger = Bench(connection, keys.cell).ledger("")

    story(ledger)

    ledger.drain()
