"""A worker on which a version goes bad stops taking its jobs, instead of failing the whole queue."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.jobs import JobStatus
from headrace.keys import Keys
from headrace.presence import ModelState
from tests.integration.engine_rig import EngineRig

pytestmark = pytest.mark.slow

SOURCE = """
from pathlib import Path
from headrace.model import Model

class Fragile(Model, max_batch=8):
    def forward(self, batch: list[str]) -> list[str]:
        if Path({flag!r}).exists():
            raise RuntimeError("the device has fallen off the bus")
        return batch
"""


@pytest.fixture
def rig(redis_url: str, keys: Keys, tmp_path: Path) -> Iterator[EngineRig]:
    rig = EngineRig(url=redis_url, keys=keys, folder=tmp_path)
    yield rig
    rig.close()


def statuses(rig: EngineRig, members: list[str]) -> list[JobStatus]:
    jobs = rig.redis.run_all(rig.store.read(member) for member in members)
    return [job.status for job in jobs if job is not None]


def test_a_version_that_goes_bad_is_taken_out_and_comes_back_when_it_works_again(
    rig: EngineRig, tmp_path: Path
) -> None:
    flag = tmp_path / "broken"
    ref = rig.push("fragile", SOURCE.format(flag=str(flag)))
    rig.start()
    assert [JobStatus.SUCCEEDED] == rig.finish(*rig.submit("good", ref=ref))

    flag.touch()
    members = rig.submit(*(f"job {number}" for number in range(120)), ref=ref)
    rig.run_until(lambda: rig.engine.presence().models[str(ref)].state is ModelState.FAILED)
    flag.unlink()
    rig.run_until(lambda: not rig.leases() and all(s.is_terminal for s in statuses(rig, members)), limit_s=60)

    ended = statuses(rig, members)
    assert set(ended) == {JobStatus.FAILED, JobStatus.SUCCEEDED}
    assert ended.count(JobStatus.FAILED) < 80
