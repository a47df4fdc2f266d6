"""How many jobs a worker holds: a real server, a real child."""

import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.keys import Keys
from headrace.store import CLAIM_SHARE
from tests.integration.engine_rig import EngineRig

MAX_BATCH = 4

#: An input is a number of letters; a pass takes a while.
SOURCE = '''
import time
from headrace.model import Model

class Letters(Model, max_batch=4):
    """Counts letters."""

    def forward(self, batch: list[str]) -> list[int]:
        time.sleep(0.05)
        return [len(word) for word in batch]
'''
COSTS = """
    def cost(self, item: str) -> int:
        return len(item)
"""


@pytest.fixture
def rig(redis_url: str, keys: Keys, tmp_path: Path) -> Iterator[EngineRig]:
    rig = EngineRig(url=redis_url, keys=keys, folder=tmp_path)
    yield rig
    rig.close()


def staged(rig: EngineRig, members: list[str]) -> list[int]:
    """How many jobs were held and not in a pass, looked at again and again until all had ended; ascending."""
    seen: list[int] = []

    def have_ended() -> bool:
        loads = rig.engine.presence().groups.values()
        seen.append(sum(load.held - load.running for load in loads))
        return rig.job(members[-1]).status.is_terminal

    rig.run_until(have_ended)
    rig.finish(*members)
    return sorted(seen)


def test_where_all_jobs_cost_the_same_one_batch_is_staged(rig: EngineRig) -> None:
    ref = rig.push("letters", SOURCE)
    members = rig.submit(*("x" * (1 + n % 20) for n in range(80)), ref=ref)

    rig.start()

    seen = staged(rig, members)
    assert statistics.median(seen) <= MAX_BATCH
    # On a busy machine a batch comes in before the child's word that the one before has begun.
    assert seen[-1] <= 2 * MAX_BATCH


def test_where_costs_differ_there_are_more_to_choose_from_and_none_is_forgotten(rig: EngineRig) -> None:
    ref = rig.push("letters", SOURCE + COSTS)
    members = rig.submit(*("x" * (1 + n % 20) for n in range(160)), ref=ref)

    rig.start()

    assert MAX_BATCH < staged(rig, members)[-1] <= MAX_BATCH + 160 // CLAIM_SHARE


def test_while_more_waits_the_next_claim_leaves_before_jobs_go_to_the_child(
    rig: EngineRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = rig.push("letters", SOURCE.replace("time.sleep(0.05)", "pass"))
    members = rig.submit(*("x" for _ in range(80)), ref=ref)
    steps: list[str] = []
    for module in ("claimer", "job_path"):
        monkeypatch.setattr(f"workers.{module}.failpoint", steps.append)

    rig.start()
    rig.finish(*members)

    assert "worker.claimed worker.before_claim worker.before_send" in " ".join(steps)
