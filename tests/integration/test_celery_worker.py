"""What Celery and Flower see of jobs: a real worker process, asked by remote control and heard by its events."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from headrace.jobs import JobStatus
from headrace.queue_store import QueueStore
from headrace.store_submissions import Amendment
from headrace.tiers import Tier
from tests.integration.engine_rig import wait_until
from tests.integration.running_worker import LIMIT_S, RunningWorker, is_answered
from workers.app import PLAIN_QUEUE

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorker]:
    worker = RunningWorker(tmp_path_factory.mktemp("celery"), plain_task_modules=["tests.integration.chores"])
    worker.finish(*worker.submit("warm up"))
    yield worker
    worker.close()


def test_inspect_answers_during_a_pass_with_what_runs_and_what_waits(worker: RunningWorker) -> None:
    running = worker.submit("sleep 3")
    wait_until(lambda: worker.status(running[0]) is JobStatus.RUNNING)
    waiting = worker.submit("a", "b")

    active = worker.ask("active")
    wait_until(lambda: worker.ask("jobs")["jobs_held"] == 3)
    reserved = worker.ask("reserved")
    asked = worker.ask("query_task", ids=[running[0].partition("/")[2]])

    assert JobStatus.RUNNING is worker.status(running[0])
    assert [running[0].partition("/")[2]] == [request["id"] for request in active]
    assert active[0]["name"] == "obedient@1"
    assert {member.partition("/")[2] for member in waiting} == {request["id"] for request in reserved}
    assert [running[0].partition("/")[2]] == list(asked)
    assert {JobStatus.SUCCEEDED} == set(worker.finish(*running, *waiting))


def test_a_worker_says_where_the_time_of_its_start_went(worker: RunningWorker) -> None:
    said = worker.presence()

    assert said is not None
    assert said.ready_ms is not None
    assert ["process", "child", "model"] == list(said.start_s)
    assert min(said.start_s.values()) > 0
    assert pytest.approx((said.ready_ms - said.started_ms) / 1000) == sum(said.start_s.values())


def test_flower_gets_an_event_for_each_step_of_each_job_and_no_payload(worker: RunningWorker) -> None:
    heard = Listener(worker)
    members = worker.submit("payload", "raise", "two")

    worker.finish(*members)
    heard.wait_for("task-succeeded", 2)
    heard.wait_for("task-failed", 1)
    heard.close()

    ids = [member.partition("/")[2] for member in members]
    of_jobs = [event for event in heard.events if event.get("uuid") in ids]
    kinds = {job: [event["type"] for event in of_jobs if event["uuid"] == job] for job in ids}
    assert kinds[ids[0]] == ["task-received", "task-started", "task-succeeded"]
    assert kinds[ids[1]] == ["task-received", "task-started", "task-failed"]
    assert {"obedient@1"} == {event["name"] for event in of_jobs if event["type"] == "task-received"}
    assert all("payload" not in str(event).lower() for event in of_jobs)


def test_heartbeats_tell_how_many_jobs_are_in_a_pass(worker: RunningWorker) -> None:
    heard = Listener(worker)
    members = worker.submit("sleep 4")

    wait_until(lambda: any(event.get("active") == 1 for event in heard.events))

    worker.finish(*members)
    heard.close()


class Listener:
    """Hears Celery's events as Flower does."""

    def __init__(self, worker: RunningWorker) -> None:
        self.events: list[dict[str, Any]] = []
        self._connection = worker.app.connection_for_read()
        self._receiver = worker.app.events.Receiver(self._connection, handlers={"*": self.events.append})
        self._thread = threading.Thread(target=self._receiver.capture, kwargs={"wakeup": False}, daemon=True)
        self._thread.start()
        # A worker that nobody heard publishes nothing for a second; its heartbeats go on.
        self.wait_for("worker-heartbeat", 2)

    def wait_for(self, kind: str, count: int) -> None:
        wait_until(lambda: [event["type"] for event in self.events].count(kind) >= count)

    def close(self) -> None:
        self._receiver.should_stop = True
        self._thread.join(10)
        self._connection.release()


def test_plain_celery_tasks_run_in_the_same_worker(worker: RunningWorker) -> None:
    worker.app.send_task("headrace.job", queue=PLAIN_QUEUE)

    wait_until(lambda: worker.ask("stats")["total"].get("headrace.job", 0) == 1)


def test_tasks_of_an_operators_own_run_there_too(worker: RunningWorker) -> None:
    result = worker.app.send_task("chores.double", [21], queue=PLAIN_QUEUE)

    assert result.get(timeout=LIMIT_S) == 42


def test_after_all_connections_break_jobs_in_flight_finish_and_the_worker_answers(
    worker: RunningWorker,
) -> None:
    [member] = worker.submit("sleep 1")
    wait_until(lambda: worker.status(member) is JobStatus.RUNNING)
    pid = worker.process.pid

    worker.cut_connections()

    assert worker.finish(member) == [JobStatus.SUCCEEDED]
    assert worker.finish(*worker.submit("after")) == [JobStatus.SUCCEEDED]
    wait_until(lambda: is_answered(lambda: worker.ask("jobs")))
    assert (pid, None) == (worker.process.pid, worker.process.poll())


def test_a_queue_that_is_paused_stays_so_for_workers_that_start_later(worker: RunningWorker) -> None:
    queues, name = QueueStore(worker.store.keys), f"{worker.ref}:standard"
    worker.redis.run(queues.pause(name))
    waits, goes = worker.submit("waits", "goes")

    worker.process.kill()
    worker.start("--name", "w2")
    # What lay ready for the first one is gone by then.
    wait_until(lambda: worker.presence() is not None, limit_s=LIMIT_S)
    worker.redis.run(worker.store.amend(worker.job(goes), Amendment(Tier.PRIORITY), cap=9))

    assert [JobStatus.SUCCEEDED] == worker.finish(goes)
    assert (JobStatus.QUEUED, None) == (worker.status(waits), worker.job(waits).worker)
    worker.redis.run(queues.resume(name))
    assert [JobStatus.SUCCEEDED] == worker.finish(waits)
