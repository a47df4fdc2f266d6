"""All interleavings of two workers over two jobs, with crashes, stalls and lost answers, keep the promises."""

from collections.abc import Iterator
from typing import Any

import pytest

from headrace.keys import Keys
from headrace.sync_redis import SyncRedis
from tests.integration.script_explorer import PLAIN, SPECIAL, Explorer


@pytest.fixture(params=[SPECIAL, PLAIN], ids=["special", "plain"])
def explorer(redis_url: str, keys: Keys, request: pytest.FixtureRequest) -> Iterator[Explorer]:
    """It needs a database for itself."""
    fields: tuple[dict[str, Any], ...] = request.param
    connection = SyncRedis(url=redis_url.removesuffix("/0") + "/9")
    yield Explorer(connection, keys, fields)
    connection.client.flushdb()
    connection.close()


def test_what_can_happen_first_keeps_the_promises(explorer: Explorer) -> None:
    explorer.explore(most_states=150)

    assert explorer.states == 150


@pytest.mark.faults
@pytest.mark.timeout(600)
def test_whatever_can_happen_keeps_the_promises(explorer: Explorer, capsys: pytest.CaptureFixture[str]) -> None:
    is_everything = explorer.explore(most_states=50_000)

    assert is_everything
    assert explorer.states > 1_000
    with capsys.disabled():
        print(f"\n{explorer.states} states, {explorer.transitions} transitions")  # noqa: T201 - a figure
