"""Redis killed again and again in the middle of a drain: under one fence no job runs twice."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.checker import Bounds
from tests.faults.conftest import KILLS
from tests.faults.rig import Rig

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

JOBS = 24


def test_kills_of_redis_mid_drain_run_no_job_twice_under_one_fence(
    tmp_path: Path, figure: Callable[[str], None], pytestconfig: pytest.Config
) -> None:
    kills = pytestconfig.getoption("--kills", default=KILLS)
    rig, chance = Rig(tmp_path, workers=1, schedulers=1), random.Random(100)
    before = rig.fleet.pids
    try:
        for _ in range(kills):
            rig.begin()
            rig.put(rig.questions_of(JOBS, sleep_ms=10))
            time.sleep(chance.uniform(0, 0.06))
            rig.cluster.restart_server(down_s=0)
            rig.finish()
        evidence = rig.verify_everything(Bounds(runs_once_a_fence=True))
    finally:
        rig.close()

    assert before == rig.fleet.pids
    assert len(evidence.questions) == kills * JOBS
    again = len(evidence.executions) - len(evidence.questions)
    figure(f"{kills} kills of Redis mid-drain: {len(evidence.questions)} jobs, {again} ran again under another fence")
