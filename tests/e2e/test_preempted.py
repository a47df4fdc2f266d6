"""A worker whose machine is taken away, as the owner of the workers sees it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.jobs import JobStatus
from registry.registry import Registry
from tests.e2e.test_up import CHECKOUT, Up, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
def notice(tmp_path: Path) -> Path:
    """The file whose appearance is the notice."""
    return tmp_path / "notice"


@pytest.fixture
def up(tmp_path: Path, notice: Path) -> Iterator[Up]:
    source = tmp_path / "source"
    shutil.copytree(CHECKOUT / "bench" / "models" / "sleep", source)
    (source / "parameters.json").write_text(json.dumps({"forward_ms": 3000, "max_batch": 1}))
    Registry(url=(tmp_path / "registry").as_uri()).push(source, name="sleep")
    up = Up(tmp_path, {"HEADRACE_PREEMPTION_WATCH": "file", "HEADRACE_PREEMPTION_SOURCE": str(notice)})
    wait_for(lambda: up.says("Headrace is up"), "the API")
    yield up
    if up.process.poll() is None:
        up.end()


def test_another_worker_starts_before_the_one_that_must_leave_has_finished_its_pass(up: Up, notice: Path) -> None:
    running = up.client.submit("sleep", "x")
    wait_for(lambda: running.record().status is JobStatus.RUNNING, "the pass")

    notice.touch()
    wait_for(lambda: any(worker["state"] == "draining" for worker in up.client.workers()), "the leave")
    notice.unlink()
    record = running.wait(timeout_s=60)
    wait_for(lambda: up.says("has finished (ended with status 0)"), "the end of the first worker")

    assert (JobStatus.SUCCEEDED, 1) == (record.status, record.document["attempts"])
    log = up.log.read_text()
    leaves = log.index("leaves by itself")
    assert leaves < log.index(" starts", leaves) < log.index("has finished (ended with status 0)")
    assert JobStatus.SUCCEEDED is up.client.submit("sleep", "y").wait(timeout_s=60).status
