"""A worker begins nothing under a lease that may be over: others may run the job by then."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.jobs import JobStatus, Lease
from headrace.keys import Keys
from headrace.model_ref import ModelRef
from scheduler.embedded_server import EmbeddedServer, free_port
from tests.integration.engine_rig import EngineRig, wait_until

pytestmark = pytest.mark.slow

#: Notes each input in a file before it runs, one at a time.
SOURCE = """
import time
from pathlib import Path
from headrace.model import Model

class Noting(Model, max_batch=1):
    def forward(self, batch: list[str]) -> list[str]:
        with Path({log!r}).open("a") as log:
            print(batch[0], file=log)
        if batch[0].startswith("sleep "):
            time.sleep(float(batch[0].split()[1]))
        return batch
"""


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    server = EmbeddedServer(folder=tmp_path / "redis", port=free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture
def rig(own_server: EmbeddedServer, tmp_path: Path) -> Iterator[EngineRig]:
    rig = EngineRig(url=own_server.url, keys=Keys(cell="fence"), folder=tmp_path, lease_ms=2000)
    yield rig
    rig.close()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "ran.txt"
    path.touch()
    return path


def one_runs_and_one_is_staged(rig: EngineRig, log: Path, *, sleep_s: float) -> tuple[ModelRef, list[str]]:
    """The engine with a long pass under way, and the next job with the child."""
    ref = rig.push("noting", SOURCE.format(log=str(log)))
    rig.start()
    long, following = f"sleep {sleep_s}", "next"
    members = [*rig.submit(long, ref=ref)]
    rig.run_until(lambda: log.read_text() == f"{long}\n")
    members += rig.submit(following, ref=ref)
    rig.run_until(lambda: rig.engine.presence().jobs_held == 2, limit_s=sleep_s)
    return ref, members


def test_a_staged_job_whose_lease_was_lost_runs_only_under_its_new_one(rig: EngineRig, log: Path) -> None:
    _, [long, following] = one_runs_and_one_is_staged(rig, log, sleep_s=6)

    lease = Lease(following, rig.job(following).fence)
    rig.redis.client.zadd(rig.keys.leases, {str(lease): 1})
    rig.redis.run(rig.store.reap(limit=10, result_ttl_s=60))
    ended = rig.finish(long, following)

    assert [JobStatus.SUCCEEDED, JobStatus.SUCCEEDED] == ended
    assert ["sleep 6", "next"] == log.read_text().split("\n")[:-1]


def test_without_redis_nothing_is_begun_once_the_lease_may_be_over(
    rig: EngineRig, own_server: EmbeddedServer, log: Path
) -> None:
    _, [long, following] = one_runs_and_one_is_staged(rig, log, sleep_s=5)

    own_server.kill()
    rig.loop.run_until(lambda: False, limit_s=7)
    begun_meanwhile = log.read_text()
    own_server.start()
    wait_until(lambda: bool(rig.redis.client.ping()))
    rig.redis.run(rig.store.reap(limit=10, result_ttl_s=60))
    ended = rig.finish(following)

    assert begun_meanwhile == "sleep 5\n"
    assert [JobStatus.SUCCEEDED] == ended
    assert 1 == log.read_text().count("next")
    assert rig.job(long).status in (JobStatus.SUCCEEDED, JobStatus.QUEUED, JobStatus.RUNNING)
