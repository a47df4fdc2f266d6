"""Jobs that run longer than was asked for them: each ends alone, and holds nobody up for long."""

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from headrace.jobs import Cause, JobStatus
from headrace.keys import Keys
from tests.integration.engine_rig import EngineRig


@pytest.fixture
def rig(redis_url: str, keys: Keys, tmp_path: Path) -> Iterator[EngineRig]:
    rig = EngineRig(url=redis_url, keys=keys, folder=tmp_path)
    yield rig
    rig.close()


def test_a_job_over_its_limit_fails_and_its_mates_run_on(rig: EngineRig) -> None:
    ref = rig.push()
    [hasty] = rig.submit("a", ref=ref, run_timeout_s=1)
    mates = rig.submit("sleep 3", "b", ref=ref)
    rig.start()
    rig.run_until(lambda: rig.job(hasty).status.is_terminal)
    pid, while_it_runs = rig.engine.child_pid, [rig.job(mate).status for mate in mates]

    statuses = rig.finish(*mates)

    error = orjson.loads(rig.output(hasty))
    assert [JobStatus.RUNNING] * 2 == while_it_runs
    assert (JobStatus.FAILED, Cause.RUN_TIMEOUT) == (rig.job(hasty).status, rig.job(hasty).cause)
    assert "run_timeout_s, 1 s, in a batch of 3" in error["detail"]
    assert ([JobStatus.SUCCEEDED] * 2, [1, 1]) == (statuses, [rig.job(mate).attempts for mate in mates])
    assert (pid, 0) == (rig.engine.child_pid, rig.leases())


def test_a_pass_that_nobody_is_left_in_is_cut_off(rig: EngineRig) -> None:
    ref = rig.push()
    [stuck] = rig.submit("hang", ref=ref, run_timeout_s=1)
    rig.start()
    rig.run_until(lambda: rig.job(stuck).status.is_terminal)

    after = rig.finish(*rig.submit("after", ref=ref))

    assert (JobStatus.FAILED, Cause.RUN_TIMEOUT, 1) == (
        rig.job(stuck).status,
        rig.job(stuck).cause,
        rig.job(stuck).attempts,
    )
    assert [JobStatus.SUCCEEDED] == after


def test_a_pass_that_nobody_is_left_in_may_still_end_by_itself(rig: EngineRig) -> None:
    ref = rig.push()
    [slow] = rig.submit("sleep 1.8", ref=ref, run_timeout_s=1)
    rig.start()
    rig.run_until(lambda: rig.job(slow).status.is_terminal)
    pid = rig.engine.child_pid

    after = rig.finish(*rig.submit("after", ref=ref))

    assert (Cause.RUN_TIMEOUT, [JobStatus.SUCCEEDED]) == (rig.job(slow).cause, after)
    assert pid == rig.engine.child_pid


def test_what_waits_counts_for_no_limit(rig: EngineRig) -> None:
    ref = rig.push()
    first = rig.submit("sleep 2", *"bcdefgh", ref=ref)
    rig.start()
    rig.run_until(lambda: rig.job(first[0]).status is JobStatus.RUNNING)

    waited = rig.finish(*rig.submit("after", ref=ref, run_timeout_s=1))

    assert [JobStatus.SUCCEEDED] == waited
