"""Jobs from an existing Celery producer: an application of its own that knows nothing but the URL of the broker."""

import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from celery.result import AsyncResult

from headrace.errors import RedisUnavailable
from headrace.groups import group_of
from headrace.jobs import JobStatus
from headrace.model_ref import ModelRef
from headrace.presence import ModelState
from headrace.redis_op import RedisOp
from headrace.shadow import SHADOW_TENANT
from headrace.sync_redis import SyncRedis
from headrace.tiers import Tier
from registry.registry import Registry
from tests.integration.engine_rig import wait_until
from tests.integration.running_worker import LIMIT_S, RunningWorker
from workers.submit_desk import SubmitDesk
from workers.task_results import task_mark

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorker]:
    worker = RunningWorker(tmp_path_factory.mktemp("submit"), queue_cap=10)
    worker.start_courier()
    worker.finish(*worker.submit("warm up"))
    yield worker
    worker.close()


@pytest.fixture(scope="module")
def producer(worker: RunningWorker) -> Iterator[Celery]:
    """A stock application."""
    app = Celery("shop", broker=worker.server.url, backend=worker.server.url)
    yield app
    app.close()


def send(producer: Celery, *args: Any, **options: Any) -> AsyncResult:
    return producer.send_task("headrace.submit", args, queue="headrace.plain", **options)


def ended(result: AsyncResult) -> str:
    wait_until(result.ready, limit_s=LIMIT_S)
    return str(result.state)


def member_of(worker: RunningWorker, task_id: str) -> str:
    """The job that a task has made."""
    key = worker.store.keys.idempotency("default", task_mark(task_id))
    wait_until(lambda: bool(worker.redis.client.exists(key)), limit_s=LIMIT_S)
    return worker.redis.run(RedisOp(bytes, ("GET", key))).decode().partition("|")[0]


def jobs(worker: RunningWorker) -> int:
    return int(worker.redis.client.zcard(worker.store.keys.index("default")))


def test_a_producer_that_knows_only_the_brokers_url_gets_the_result(worker: RunningWorker) -> None:
    script = """
        from celery import Celery
        app = Celery(broker=URL, backend=URL)
        task = dict(kwargs={"model": "obedient", "input": "hello"}, queue="headrace.plain")
        print(app.send_task("headrace.submit", **task).get(timeout=60))
        try:
            task["kwargs"]["input"] = "raise"
            app.send_task("headrace.submit", **task).get(timeout=60)
        except Exception as error:
            print(type(error).__name__, error)
    """
    code = f"URL = {worker.server.url!r}\n{textwrap.dedent(script)}"

    said = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=120, check=True)

    first, second = said.stdout.splitlines()
    assert "HELLO" == first
    assert "JobNotSucceeded model: " in second
    assert "told to raise" in second


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        ((), "/model: is required"),
        (("obedient",), "/input: is required"),
        (("nobody", "x"), "'nobody' is not known; known are obedient"),
        (("obedient@7", "x"), "'obedient@7' is not released; released are obedient@1"),
        (("obedient", 5), "/input: "),
        (("obedient", "x", {"tier": "urgent"}), "/options/tier"),
        (("obedient", "x", {"seed": 7}), "/options/seed: is not taken: this version of the model has no hook"),
        (("obedient", "x", {"dedupe": {"key": "k"}}), "/options/dedupe: is not taken"),
        (("obedient", "x", {}, 4), "headrace.submit takes model, input, options"),
    ],
)
def test_bad_arguments_are_the_tasks_failure_and_make_no_job(
    worker: RunningWorker, producer: Celery, args: tuple[Any, ...], problem: str
) -> None:
    before = jobs(worker)

    result = send(producer, *args)

    assert "FAILURE" == ended(result)
    assert problem in str(result.result)
    assert before == jobs(worker)


def test_a_webhook_is_refused_because_the_result_is_the_tasks(producer: Celery) -> None:
    kwargs = {"model": "obedient", "input": "x", "webhook": {"url": "https://example.com/"}}

    result = send(producer, kwargs=kwargs)

    assert "FAILURE" == ended(result)
    assert "/webhook: is not taken here" in str(result.result)


def test_a_task_that_is_delivered_twice_makes_one_job(worker: RunningWorker, producer: Celery) -> None:
    before, task_id = jobs(worker), str(uuid.uuid4())

    for _ in range(3):
        result = send(producer, "obedient", "once", task_id=task_id)
    last = send(producer, "obedient", "last")

    assert "LAST" == last.get(timeout=LIMIT_S)
    assert "ONCE" == result.get(timeout=LIMIT_S)
    assert before + 2 == jobs(worker)


@pytest.mark.parametrize("options", [{"priority": 9}, {"ignore_result": False}, {"countdown": 0.1}])
def test_whatever_way_it_is_sent_the_jobs_result_is_the_tasks(producer: Celery, options: dict[str, Any]) -> None:
    assert "SENT" == send(producer, "obedient", "sent", **options).get(timeout=LIMIT_S)


def test_without_interest_in_the_result_none_is_stored(worker: RunningWorker, producer: Celery) -> None:
    result = send(producer, "obedient", "quiet", ignore_result=True)
    member = member_of(worker, result.id)

    assert [JobStatus.SUCCEEDED] == worker.finish(member)
    assert not worker.job(member).has_webhook
    assert b"celery-task-meta-" + result.id.encode() not in worker.redis.client.keys("celery-task-meta-*")


def test_a_long_result_arrives_whole(producer: Celery) -> None:
    words = "word " * 10_000

    assert words.upper() == send(producer, "obedient", words).get(timeout=LIMIT_S)


def test_revoking_the_task_cancels_its_job(worker: RunningWorker, producer: Celery) -> None:
    held, file = worker.hold("revoke")
    result = send(producer, "obedient", "never")
    member = member_of(worker, result.id)

    result.revoke()
    wait_until(lambda: worker.status(member) is JobStatus.CANCELED, limit_s=LIMIT_S)
    file.unlink()

    assert "REVOKED" == ended(result)
    assert [JobStatus.SUCCEEDED] == worker.finish(held)


def test_a_job_canceled_by_others_is_a_revoked_task(worker: RunningWorker, producer: Celery) -> None:
    held, file = worker.hold("cancel")
    result = send(producer, "obedient", "never")

    worker.redis.run(worker.store.cancel(member_of(worker, result.id), result_ttl_s=60))

    assert "REVOKED" == ended(result)
    file.unlink()
    assert [JobStatus.SUCCEEDED] == worker.finish(held)


def test_an_expired_job_is_a_failed_task(worker: RunningWorker, producer: Celery) -> None:
    held, file = worker.hold("expire")
    result = send(producer, "obedient", "late", {"deadline": 0.2})
    member = member_of(worker, result.id)

    wait_until(lambda: bool(worker.redis.run(worker.store.expire(limit=10, result_ttl_s=60))), limit_s=LIMIT_S)

    assert "FAILURE" == ended(result)
    assert "deadline" in str(result.result)
    assert JobStatus.EXPIRED is worker.status(member)
    file.unlink()
    worker.finish(held)


def test_a_full_queue_makes_the_task_wait_and_loses_nothing(worker: RunningWorker, producer: Celery) -> None:
    worker.ask("pause")
    results = [send(producer, "obedient", f"job {number}") for number in range(12)]
    wait_until(lambda: [result.state for result in results].count("RETRY") == 2, limit_s=LIMIT_S)

    worker.ask("resume")

    assert [f"JOB {number}" for number in range(12)] == [result.get(timeout=LIMIT_S) for result in results]


@pytest.fixture(scope="module")
def shadow(worker: RunningWorker) -> Iterator[ModelRef]:
    """Another version, which gets copies of all jobs and is ready to run them."""
    registry, source = Registry(url=worker.settings.registry_location), worker.folder / "source"
    (source / "notes.txt").write_text("the same, published again")
    ref = registry.push(source, name="obedient", release=False).manifest.ref
    registry.shadow(ref, percent=100)
    wait_until(lambda: is_served(worker, str(ref)), limit_s=LIMIT_S)
    # Who takes tasks may have looked at the releases just before, for the last task of another test.
    time.sleep(worker.settings.registry_poll_s)
    yield ref
    registry.shadow(ref, percent=0)


def copies_ended(worker: RunningWorker, shadow: ModelRef) -> int:
    return worker.redis.run(worker.store.counts(group_of(shadow, Tier.SPOT))).ended


def wait_for_copies(worker: RunningWorker, shadow: ModelRef, count: int) -> None:
    """Wait until so many have ended; says what became of them if they do not."""
    try:
        wait_until(lambda: copies_ended(worker, shadow) >= count, limit_s=LIMIT_S)
    except AssertionError:
        members = worker.redis.run(worker.store.recent(SHADOW_TENANT, limit=10))
        jobs = [str(worker.job(member)) for member in members]
        log = (worker.folder / "worker.log").read_text(errors="replace")
        pytest.fail("\n".join(("not so many copies have ended; those that there are:", *jobs, log[-8_000:])))
    assert count == copies_ended(worker, shadow)


def test_a_version_that_shadows_another_runs_copies_of_tasks_jobs(
    worker: RunningWorker, producer: Celery, shadow: ModelRef
) -> None:
    before = copies_ended(worker, shadow)

    result = send(producer, "obedient", "hello")

    assert "SUCCESS" == ended(result), result.result
    wait_for_copies(worker, shadow, before + 1)


def test_a_submission_whose_answer_was_lost_is_asked_again_and_has_its_copy(
    worker: RunningWorker, shadow: ModelRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, jobs_before, lost, run = copies_ended(worker, shadow), jobs(worker), list[str](), SyncRedis.run

    def lose_one(self: SyncRedis, op: RedisOp[Any]) -> Any:
        answer = run(self, op)
        if op.script is not None and op.script.name == "submit" and not lost:
            lost.append("the first answer")
            raise RedisUnavailable("it does not answer")
        return answer

    monkeypatch.setattr(SyncRedis, "run", lose_one)
    desk = SubmitDesk(worker.settings)
    job_id = desk.submit({"model": "obedient", "input": "hello"}, task_id=str(uuid.uuid4()), wants_result=False)

    assert [JobStatus.SUCCEEDED] == worker.finish(f"default/{job_id}")
    assert (1, jobs_before + 1) == (len(lost), jobs(worker))
    wait_for_copies(worker, shadow, before + 1)


def is_served(worker: RunningWorker, ref: str) -> bool:
    said = worker.presence()
    return said is not None and ref in said.models and said.models[ref].state is ModelState.READY
