"""Redis killed under load, with a torn file, standing still, out of memory or disk: nobody ends, nothing is lost."""

import os
import random
import resource
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.audit import append_only_files, read_audit
from tests.faults.checker import check, verify
from tests.faults.cluster import poll
from tests.faults.evidence import gather
from tests.faults.rig import Rig
from tests.faults.submitter import Submitter, keys_of

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

RESTARTS = 20
REWRITES = 5
#: What a server in the field does: it syncs once a second.
EVERYSEC = {"appendfsync": "everysec"}
#: In proportion to leases of 4 s as 1, 10 and 60 s are to the default of 15 s: below, above and far above.
LEASE_MS = 4_000
STILL_S = (1.0, 6.0, 12.0)

MakeRig = Callable[..., Rig]


@pytest.fixture
def make_rig(tmp_path: Path) -> Iterator[MakeRig]:
    rigs: list[Rig] = []

    def make(**terms: object) -> Rig:
        rigs.append(Rig(tmp_path, schedulers=1, **terms))  # type: ignore[arg-type] # passed on as they are
        return rigs[0]

    yield make
    for rig in rigs:
        rig.close()


@pytest.mark.parametrize("durability", ["everysec", "strict"])
def test_twenty_kills_of_redis_under_load_end_no_process_and_lose_nothing(make_rig: MakeRig, durability: str) -> None:
    rig, chance = make_rig(durability=durability), random.Random(20)
    before = rig.fleet.pids

    with rig.load(sleep_ms=10):
        for _ in range(RESTARTS):
            time.sleep(chance.uniform(0.2, 0.8))
            rig.cluster.restart_server(down_s=chance.uniform(0, 0.4))

    evidence = rig.verify()
    assert before == rig.fleet.pids
    assert len(evidence.questions) > RESTARTS


def test_a_kill_of_redis_while_it_rewrites_its_file_loses_nothing(make_rig: MakeRig) -> None:
    rig, chance = make_rig(), random.Random(29)
    before = rig.fleet.pids

    with rig.load(sleep_ms=10):
        for _ in range(REWRITES):
            time.sleep(0.5)
            rig.cluster.redis.client.bgrewriteaof()
            time.sleep(chance.uniform(0, 0.03))
            rig.cluster.restart_server(down_s=0.1)

    rig.verify()
    assert before == rig.fleet.pids


def test_a_torn_file_loses_what_its_tail_held_and_nothing_else(make_rig: MakeRig) -> None:
    rig = make_rig(options=EVERYSEC)
    rig.submit(rig.questions_of(30, sleep_ms=0))
    rig.finish()
    whole_bytes = append_only_files(rig.cluster.server.folder)[-1].stat().st_size
    rig.submit(rig.questions_of(30, sleep_ms=0))
    rig.finish()

    rig.cluster.server.kill()
    file = append_only_files(rig.cluster.server.folder)[-1]
    cut_at = (whole_bytes + file.stat().st_size) // 2
    os.truncate(file, cut_at)
    rig.cluster.server.start()

    asked, kept = rig.questions, set(read_audit(rig.cluster.server.folder, rig.cluster.store.keys))
    poll("everything serves", lambda: all(rig.cluster.serves(worker, rig.ref) for worker in rig.fleet.workers))
    lost = {member for member in asked if rig.cluster.redis.run(rig.cluster.store.read(member)) is None}
    assert set(asked) - kept == lost
    assert 0 < len(lost) <= 30
    # The server says by how much its file was short.
    assert "short read while loading" in (rig.cluster.server.folder / "server.log").read_text()
    _hand_in_again(rig, lost)
    rig.finish()
    verify(check(gather(rig.cluster, {member: job for member, job in rig.questions.items() if member not in lost})))


def _hand_in_again(rig: Rig, lost: set[str]) -> None:
    """What clients do that got no result: the same request under the same key; what was kept is not made twice."""
    keys, submitter = keys_of(rig.history), Submitter(port=rig.cluster.settings.api_port, history=rig.history)
    again = {member: submitter.submit(job, key=keys[member]) for member, job in rig.questions.items()}
    submitter.close()
    assert lost == {member for member, found in again.items() if member != found}


@pytest.mark.parametrize("still_s", STILL_S)
def test_redis_standing_still_makes_nobody_run_twice(make_rig: MakeRig, still_s: float) -> None:
    rig = make_rig(lease_ms=LEASE_MS)
    before = rig.fleet.pids

    with rig.load(sleep_ms=50):
        poll("jobs are held", lambda: bool(rig.cluster.redis.client.zcard(rig.cluster.store.keys.leases)))
        os.kill(rig.cluster.server.pid, signal.SIGSTOP)
        time.sleep(still_s)
        os.kill(rig.cluster.server.pid, signal.SIGCONT)

    evidence = rig.verify()
    assert before == rig.fleet.pids
    assert {1} == {job.attempts for job in evidence.jobs.values()}


def test_a_redis_without_memory_refuses_the_new_and_finishes_the_old(make_rig: MakeRig) -> None:
    rig = make_rig()
    client = rig.cluster.redis.client
    for worker in rig.fleet.workers:
        os.kill(worker.pid, signal.SIGSTOP)
    client.config_set("maxmemory", client.info("memory")["used_memory"] + 300_000)

    submitting = rig.submitting(rig.questions_of(600, sleep_ms=0))
    rig.until("one is refused", lambda: _was_refused(rig))
    assert not submitting.done()
    for worker in rig.fleet.workers:
        os.kill(worker.pid, signal.SIGCONT)
    rig.until("the accepted ones ended", lambda: not rig.open_jobs())
    client.config_set("maxmemory", 0)
    rig.finish(submitting)

    rig.verify()


def test_a_redis_without_disk_refuses_and_goes_on_when_there_is_space(make_rig: MakeRig) -> None:
    rig = make_rig(options=EVERYSEC)
    before = rig.fleet.pids
    file = append_only_files(rig.cluster.server.folder)[-1]
    _, most = resource.prlimit(rig.cluster.server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(rig.cluster.server.pid, resource.RLIMIT_FSIZE, (file.stat().st_size + 100_000, most))

    submitting = rig.submitting(rig.questions_of(600, sleep_ms=0))
    rig.until("one is refused", lambda: _was_refused(rig))
    assert not submitting.done()
    resource.prlimit(rig.cluster.server.pid, resource.RLIMIT_FSIZE, (most, most))
    rig.finish(submitting)

    rig.verify()
    assert before == rig.fleet.pids


def _was_refused(rig: Rig) -> bool:
    return any(event.fields["status"] == 503 for event in rig.history.events("refused"))
