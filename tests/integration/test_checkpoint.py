"""A worker that must leave in the middle of a pass, and the one that goes on with it."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from headrace.jobs import JobStatus, Reason
from tests.integration.engine_rig import wait_until
from tests.integration.running_worker import LIMIT_S, RunningWorker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

#: Counts while the file named by its input is there, and says from where it counted.
SOURCE = '''
import time
from pathlib import Path
from headrace.model import Model

class Counter(Model, max_batch=8):
    """Says from where it counted."""

    def preprocess(self, item: str) -> tuple[str, int]:
        return item, 0

    def forward(self, batch: list[tuple[str, int]]) -> list[int]:
        self.counts = [first for _, first in batch]
        while any(Path(name).exists() for name, _ in batch):
            self.counts = [count + 1 for count in self.counts]
            time.sleep(0.01)
        return [first for _, first in batch]

    def checkpoint(self) -> list[bytes | None]:
        return [str(count).encode() if count else None for count in self.counts]

    def resume(self, item: tuple[str, int], state: bytes) -> tuple[str, int]:
        return item[0], int(state)

    def postprocess(self, row: int) -> int:
        return row
'''


class CountingWorker(RunningWorker):
    """Serves it."""

    source: ClassVar[str] = SOURCE


@pytest.fixture
def notice(tmp_path: Path) -> Path:
    """The file whose appearance is the notice."""
    return tmp_path / "notice"


@pytest.fixture
def worker(request: pytest.FixtureRequest, tmp_path: Path, notice: Path) -> Iterator[CountingWorker]:
    watch = {"preemption_watch": "file", "preemption_source": str(notice)}
    # So long a lease that no job comes back because it ran out.
    worker = CountingWorker(tmp_path, **watch, **request.param, shutdown_grace_s=3, lease_ms=60_000)
    yield worker
    worker.close()


def run_elsewhere(worker: CountingWorker, notice: Path) -> str:
    """A job whose worker leaves runs on another one; answers its member."""
    file = worker.folder / "hold"
    file.touch()
    [member] = worker.submit(str(file))
    wait_until(lambda: worker.status(member) is JobStatus.RUNNING, limit_s=LIMIT_S)

    notice.touch()
    assert 0 == worker.process.wait(LIMIT_S)
    left = worker.job(member)
    assert (JobStatus.QUEUED, 0, Reason.PREEMPTED) == (left.status, left.attempts, left.reason)
    file.unlink()
    notice.unlink()
    worker.start("--name", "w2")
    assert [JobStatus.SUCCEEDED] == worker.finish(member)
    return member


def result(worker: CountingWorker, member: str) -> int:
    return int(worker.redis.run(worker.store.output(member)) or b"-1")


@pytest.mark.parametrize("worker", [{}], indirect=True)
def test_a_job_whose_worker_must_leave_goes_on_elsewhere_from_where_it_was(
    worker: CountingWorker, notice: Path
) -> None:
    member = run_elsewhere(worker, notice)

    assert result(worker, member) > 0
    assert 1 == worker.job(member).attempts
    assert not worker.redis.client.exists(worker.store.keys.checkpoint(member))


@pytest.mark.parametrize("worker", [{"checkpoint_max_bytes": 1}], indirect=True)
def test_what_is_larger_than_may_be_kept_is_not_kept(worker: CountingWorker, notice: Path) -> None:
    member = run_elsewhere(worker, notice)

    assert 0 == result(worker, member)
