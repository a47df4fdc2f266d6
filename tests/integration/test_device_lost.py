"""A device that is of no more use to a process: the process is replaced, and only the job that broke it fails."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.jobs import Cause, JobStatus
from headrace.keys import Keys
from tests.integration.engine_rig import EngineRig

pytestmark = pytest.mark.slow

#: As a failed assertion in a kernel does, one input breaks the device for every pass that follows in the process.
SOURCE = """
import torch
from headrace.model import Model

class Sticky(Model, max_batch=8):
    broken = False

    def forward(self, batch: list[str]) -> list[str]:
        Sticky.broken = Sticky.broken or "break" in batch
        if Sticky.broken:
            raise torch.AcceleratorError("CUDA error: device-side assert triggered")
        return batch
"""


@pytest.fixture
def rig(redis_url: str, keys: Keys, tmp_path: Path) -> Iterator[EngineRig]:
    rig = EngineRig(url=redis_url, keys=keys, folder=tmp_path)
    yield rig
    rig.close()


def test_only_the_job_that_breaks_the_device_fails(rig: EngineRig) -> None:
    ref = rig.push(source=SOURCE)
    members = rig.submit("a", "b", "break", "c", ref=ref)
    rig.start()

    rig.run_until(lambda: all(rig.job(member).status.is_terminal for member in members), limit_s=90)

    jobs = [rig.job(member) for member in members]
    ok = JobStatus.SUCCEEDED
    assert [ok, ok, JobStatus.FAILED, ok] == [job.status for job in jobs]
    assert Cause.WORKER_LOST == jobs[2].cause
    assert [1, 1, 1] == [jobs[i].attempts for i in (0, 1, 3)]
