"""Every worker ended by SIGTERM and replaced, one after the other, under load: nobody notices."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.jobs import JobStatus
from tests.faults.checker import Bounds
from tests.faults.rig import Rig

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

WORKERS = ("w0", "w1", "w2")


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path, workers=len(WORKERS), schedulers=1)
    yield rig
    rig.close()


def test_a_rolling_restart_of_all_workers_fails_no_job_and_burns_no_attempt(rig: Rig) -> None:
    codes = []

    with rig.load(sleep_ms=50):
        for name in WORKERS:
            codes.append(rig.fleet.roles[name].service.terminate(limit_s=30))
            rig.fleet.wait_until_serving()
            time.sleep(0.5)

    evidence = rig.verify(Bounds(runs_once_a_fence=True))
    assert [0] * len(WORKERS) == codes
    assert {(JobStatus.SUCCEEDED, 1)} == {(job.status, job.attempts) for job in evidence.jobs.values()}
