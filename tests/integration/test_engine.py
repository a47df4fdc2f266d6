"""The way of jobs through a worker: a real server, a real child, no Celery."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from headrace.groups import group_of
from headrace.homes import Manners, write_manners
from headrace.jobs import Cause, JobStatus
from headrace.keys import Keys
from headrace.presence import ModelState, WorkerPresence
from headrace.tiers import Tier
from tests.integration.engine_rig import EngineRig

MakeRig = Callable[..., EngineRig]


@pytest.fixture
def make_rig(redis_url: str, keys: Keys, tmp_path: Path) -> Iterator[MakeRig]:
    rigs: list[EngineRig] = []

    def make(**settings: float) -> EngineRig:
        rigs.append(EngineRig(url=redis_url, keys=keys, folder=tmp_path, **settings))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


@pytest.fixture
def rig(make_rig: MakeRig) -> EngineRig:
    return make_rig()


def test_a_job_runs_and_its_result_is_kept(rig: EngineRig) -> None:
    ref = rig.push()
    [member] = rig.submit("hello", ref=ref)

    rig.start()

    assert rig.finish(member) == [JobStatus.SUCCEEDED]
    assert rig.output(member) == b'"HELLO"'
    assert rig.job(member).attempts == 1
    assert rig.leases() == 0


def test_jobs_that_wait_run_together(rig: EngineRig) -> None:
    ref = rig.push()
    members = rig.submit(*(f"word {n}" for n in range(8)), ref=ref)

    rig.start()
    rig.finish(*members)

    assert {8} == {rig.job(member).batch_size for member in members}


def test_what_is_left_to_another_class_is_not_claimed_until_nobody_says_so_any_more(rig: EngineRig) -> None:
    ref, left = rig.push(), rig.push("left")
    told = write_manners({"on-demand": Manners(left=(group_of(left, Tier.STANDARD),))})
    rig.redis.client.set(rig.keys.homes, told)
    rig.start()
    rig.run_until(lambda: bool(rig.engine.presence().left) and len(rig.engine.presence().models) == 2)

    [for_others], [own] = rig.submit("theirs", ref=left), rig.submit("mine", ref=ref)

    assert [JobStatus.SUCCEEDED] == rig.finish(own)
    assert JobStatus.QUEUED is rig.job(for_others).status
    rig.redis.client.delete(rig.keys.homes)
    assert [JobStatus.SUCCEEDED] == rig.finish(for_others)


def test_what_is_for_spare_time_is_run_by_a_worker_that_has_nothing_else(rig: EngineRig) -> None:
    ref = rig.push()
    told = write_manners({"on-demand": Manners(spare=(group_of(ref, Tier.STANDARD),))})
    rig.redis.client.set(rig.keys.homes, told)
    rig.start()

    assert [JobStatus.SUCCEEDED] == rig.finish(*rig.submit("theirs", ref=ref))


@pytest.mark.parametrize("spoil", ["garbage", "another type"])
def test_a_spoilt_note_of_what_is_left_to_others_keeps_nobody_from_its_jobs(rig: EngineRig, spoil: str) -> None:
    ref = rig.push()
    if spoil == "garbage":
        rig.redis.client.set(rig.keys.homes, b"\xff{")
    else:
        rig.redis.client.rpush(rig.keys.homes, "x")
    rig.start()

    assert [JobStatus.SUCCEEDED] == rig.finish(*rig.submit("mine", ref=ref))


def test_a_parked_worker_is_woken_by_a_submission(rig: EngineRig) -> None:
    ref = rig.push()
    rig.start()
    rig.finish(*rig.submit("first", ref=ref))
    before = rig.redis.client.info("commandstats")["cmdstat_xread"]["calls"]

    assert rig.finish(*rig.submit("second", ref=ref)) == [JobStatus.SUCCEEDED]

    after = rig.redis.client.info("commandstats")["cmdstat_xread"]["calls"]
    assert after - before <= 4


def test_a_pass_that_lasts_is_seen_running(rig: EngineRig) -> None:
    ref = rig.push()
    rig.start()
    [member] = rig.submit("sleep 0.5", ref=ref)

    rig.run_until(lambda: rig.job(member).status is JobStatus.RUNNING)

    assert (1, "w-" + rig.keys.cell) == (rig.job(member).attempts, rig.job(member).worker)
    rig.finish(member)
    assert rig.job(member).attempts == 1


def test_one_bad_input_fails_alone(rig: EngineRig) -> None:
    ref = rig.push()
    members = rig.submit("a", "b", "raise", "c", ref=ref)

    rig.start()
    statuses = rig.finish(*members)

    assert statuses == [JobStatus.SUCCEEDED, JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.SUCCEEDED]
    assert rig.job(members[2]).cause == Cause.MODEL
    assert "told to raise" in orjson.loads(rig.output(members[2]))["detail"]
    assert {1} == {rig.job(member).attempts for member in members}


@pytest.mark.parametrize("crash", ["exit", "segfault"])
def test_an_input_that_kills_the_process_fails_alone(rig: EngineRig, crash: str) -> None:
    ref = rig.push()
    members = rig.submit("a", crash, "b", ref=ref)

    rig.start()
    statuses = rig.finish(*members)

    assert statuses == [JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.SUCCEEDED]
    assert rig.job(members[1]).cause == Cause.WORKER_LOST
    assert rig.job(members[0]).attempts == 1
    assert rig.leases() == 0


@pytest.mark.parametrize("hang", ["hang", "hold the GIL"])
def test_an_input_that_hangs_the_process_fails_alone(make_rig: MakeRig, hang: str) -> None:
    rig = make_rig(forward_limit_s=1.0)  # enough for the other one on a machine that stands still at times
    ref = rig.push()
    members = rig.submit("a", hang, ref=ref)

    rig.start()
    statuses = rig.finish(*members)

    assert statuses == [JobStatus.SUCCEEDED, JobStatus.FAILED]
    assert rig.job(members[1]).cause == Cause.TIMEOUT


def test_an_idle_child_that_dies_is_replaced(rig: EngineRig) -> None:
    ref = rig.push()
    rig.start()
    rig.finish(*rig.submit("before", ref=ref))
    pid = rig.engine.presence().child_pid
    assert pid is not None

    os.kill(pid, signal.SIGKILL)
    rig.run_until(lambda: rig.engine.presence().child_pid not in (pid, None))

    assert rig.finish(*rig.submit("after", ref=ref)) == [JobStatus.SUCCEEDED]


def test_two_models_share_a_worker_without_mixing(rig: EngineRig) -> None:
    upper = rig.push("upper")
    lower = rig.push("lower", SOURCE_OF_LOWER)
    rig.start()
    a, b = rig.submit("Ab", ref=upper), rig.submit("Ab", ref=lower)

    rig.finish(*a, *b)

    assert (rig.output(a[0]), rig.output(b[0])) == (b'"AB"', b'"ab"')


SOURCE_OF_LOWER = '''
from headrace.model import Model

class Lower(Model):
    """Lower case."""

    def forward(self, batch: list[str]) -> list[str]:
        return [word.lower() for word in batch]
'''


LOAD = "\n    def load(self, files, device):\n        "


def test_a_version_released_later_is_picked_up(rig: EngineRig) -> None:
    rig.start()
    ref = rig.push()

    assert rig.finish(*rig.submit("hello", ref=ref)) == [JobStatus.SUCCEEDED]


def test_a_model_that_cannot_be_loaded_is_said_and_its_jobs_wait_uncharged(rig: EngineRig) -> None:
    ref = rig.push(
        "broken", SOURCE_OF_LOWER + "    def load(self, files, device):\n        raise OSError('no such weights')\n"
    )
    [member] = rig.submit("hello", ref=ref)

    rig.start()
    rig.run_until(lambda: ModelState.FAILED in {m.state for m in rig.engine.presence().models.values()})

    assert "no such weights" in rig.engine.presence().models["broken@1"].error
    assert (rig.job(member).status, rig.job(member).attempts) == (JobStatus.QUEUED, 0)
    assert rig.leases() == 0


def test_a_corrupt_file_is_refused_by_name(rig: EngineRig) -> None:
    ref = rig.push()
    [entry] = rig.registry.manifest(ref).files
    [stored] = [path for path in (rig.settings.data_dir / "registry").rglob(entry.sha256) if path.is_file()]
    stored.write_bytes(b"x" * entry.size_bytes)

    rig.start()
    rig.run_until(lambda: bool(rig.engine.presence().models) and bool(rig.engine.presence().models[str(ref)].error))

    assert "model.py" in rig.engine.presence().models[str(ref)].error


def test_a_load_that_kills_the_process_spares_the_other_models(rig: EngineRig) -> None:
    rig.push("deadly", SOURCE_OF_LOWER + LOAD + "import os; os._exit(9)\n")
    ref = rig.push()
    rig.start()

    assert rig.finish(*rig.submit("hello", ref=ref)) == [JobStatus.SUCCEEDED]
    rig.run_until(lambda: rig.engine.presence().models["deadly@1"].state is ModelState.FAILED)
    assert "died while loading" in rig.engine.presence().models["deadly@1"].error


def test_stopping_finishes_the_running_batch_and_gives_the_rest_back_uncharged(rig: EngineRig) -> None:
    ref = rig.push()
    rig.start()
    rig.run_until(lambda: bool(rig.engine.presence().models) and rig.engine.presence().jobs_held == 0)
    running = rig.submit("sleep 0.5", ref=ref)
    rig.run_until(lambda: rig.job(running[0]).status is JobStatus.RUNNING)
    waiting = rig.submit(*(f"w{n}" for n in range(20)), ref=ref)

    rig.engine.stop()

    assert JobStatus.SUCCEEDED is rig.job(running[0]).status
    assert {(JobStatus.QUEUED, 0)} == {(rig.job(m).status, rig.job(m).attempts) for m in waiting}
    assert rig.leases() == 0
    assert rig.redis.client.zcard(rig.keys.ready(group_of(ref, Tier.STANDARD), "default")) == 20


def test_a_batch_that_outlasts_the_grace_is_given_back_uncharged(make_rig: MakeRig) -> None:
    rig = make_rig(shutdown_grace_s=0.1)
    ref = rig.push()
    rig.start()
    [member] = rig.submit("hang", ref=ref)
    rig.run_until(lambda: rig.job(member).status is JobStatus.RUNNING)

    rig.engine.stop()

    assert (rig.job(member).status, rig.job(member).attempts) == (JobStatus.QUEUED, 0)
    assert rig.leases() == 0


def test_both_connections_cut_in_mid_pass_lose_nothing(rig: EngineRig) -> None:
    ref = rig.push()
    rig.start()
    [member] = rig.submit("sleep 0.3", ref=ref)
    rig.run_until(lambda: rig.job(member).status is JobStatus.RUNNING)

    rig.redis.client.client_kill_filter(_type="normal", skipme=True)

    assert rig.finish(member) == [JobStatus.SUCCEEDED]
    assert rig.finish(*rig.submit("after", ref=ref)) == [JobStatus.SUCCEEDED]


def test_a_pass_longer_than_the_lease_keeps_it(make_rig: MakeRig) -> None:
    rig = make_rig(lease_ms=1500)
    ref = rig.push()
    rig.start()
    [member] = rig.submit("sleep 4", ref=ref)
    rescued = 0

    def ended() -> bool:
        nonlocal rescued
        rescued += rig.redis.run(rig.store.reap(limit=10, result_ttl_s=60)).requeued
        return rig.job(member).status.is_terminal

    rig.run_until(ended)

    assert 0 == rescued
    assert (JobStatus.SUCCEEDED, 1) == (rig.job(member).status, rig.job(member).attempts)


def test_a_commit_whose_connection_breaks_before_the_answer_is_sent_again(rig: EngineRig) -> None:
    ref = rig.push()
    rig.start()
    [member] = rig.submit("sleep 0.5", ref=ref)
    rig.run_until(lambda: rig.job(member).status is JobStatus.RUNNING)

    rig.redis.client.client_pause(20_000, all=False)
    try:
        # Let go of by the worker means: its commit is on the way, and the server does not carry it out.
        rig.run_until(lambda: rig.engine.presence().jobs_held == 0)
        assert JobStatus.RUNNING is rig.job(member).status
        rig.redis.client.client_kill_filter(_type="normal", skipme=True)
    finally:
        rig.redis.client.client_unpause()

    assert [JobStatus.SUCCEEDED] == rig.finish(member)
    assert (b'"SLEEP 0.5"', 1, 0) == (rig.output(member), rig.job(member).attempts, rig.leases())


def test_a_canceled_running_job_ends_canceled(rig: EngineRig) -> None:
    ref = rig.push()
    rig.start()
    [member] = rig.submit("sleep 0.3", ref=ref)
    rig.run_until(lambda: rig.job(member).status is JobStatus.RUNNING)

    rig.redis.run(rig.store.cancel(member, result_ttl_s=60))

    assert rig.finish(member) == [JobStatus.CANCELED]
    assert rig.output(member) == b""


def test_the_worker_tells_of_itself_and_says_goodbye(rig: EngineRig) -> None:
    rig.push()
    rig.start()
    key = rig.keys.worker("w-" + rig.keys.cell)
    rig.run_until(lambda: b"ready" in (rig.redis.client.get(key) or b""))

    spoken = rig.redis.client.get(key)
    assert isinstance(spoken, bytes)
    presence = WorkerPresence.from_bytes(spoken)
    rig.engine.stop()

    assert os.getpid() == presence.pid
    assert None is rig.redis.client.get(key)
    assert None is rig.redis.client.zscore(rig.keys.workers, "w-" + rig.keys.cell)


def test_a_jobs_input_reaches_the_model_unchanged_whatever_its_size(rig: EngineRig) -> None:
    ref = rig.push()
    rig.start()
    members = rig.submit(*("é" * 20_000 for _ in range(8)), ref=ref)

    rig.finish(*members)

    assert {"É" * 20_000} == {orjson.loads(rig.output(member)) for member in members}


def test_who_brings_the_process_down_alone_is_not_run_again_if_its_list_does_not_name_that(rig: EngineRig) -> None:
    ref = rig.push()
    [once] = rig.submit("exit", ref=ref, retry_on=(Cause.TIMEOUT,))

    rig.start()
    statuses = rig.finish(once)

    assert ([JobStatus.FAILED], Cause.WORKER_LOST) == (statuses, rig.job(once).cause)
    assert b"killed the model's process alone (exit 3), and its retry_on does not name worker_lost" in rig.output(once)
    assert rig.engine.figures().child_deaths == 1


def test_no_other_job_is_in_the_pass_of_one_that_is_not_batchable(rig: EngineRig) -> None:
    ref = rig.push()
    before = rig.submit("a", "b", ref=ref)
    apart = rig.submit("c", "d", ref=ref, is_batchable=False)
    after = rig.submit("e", "f", ref=ref)

    rig.start()
    statuses = rig.finish(*before, *apart, *after)

    assert [JobStatus.SUCCEEDED] * 6 == statuses
    assert [1, 1] == [rig.job(member).batch_size for member in apart]
    assert [4] * 4 == [rig.job(member).batch_size for member in (*before, *after)]


def test_passes_of_one_that_had_to_be_are_no_reason_to_claim_less(rig: EngineRig) -> None:
    ref = rig.push()
    apart = rig.submit(*["sleep 0.1"] * 20, ref=ref, is_batchable=False)
    first, *others = rig.submit(*["a"] * 40, ref=ref)

    rig.start()
    rig.finish(*apart, first, *others)

    assert 5 < (rig.job(first).batch_size or 0)
