"""What Celery and Flower see of jobs: a real worker process, asked by remote control and heard by its events."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from headrace.jobs import JobStatus
from headrace.keys import Keys
from headrace.model_ref import ModelRef
from headrace.settings import Settings, as_environment
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from registry.registry import Registry
from scheduler.embedded_server import EmbeddedServer, free_port
from tests.integration.engine_rig import SOURCE, wait_until
from tests.integration.submitting import submit_words
from workers.app import PLAIN_QUEUE, make_app

pytestmark = pytest.mark.slow


class RunningWorker:
    """A worker process on a server of its own, so that its Celery queues are nobody else's."""

    def __init__(self, folder: Path) -> None:
        self.server = EmbeddedServer(folder=folder / "redis", port=free_port())
        self.server.start()
        self.settings = Settings.model_validate(
            {"redis_url": self.server.url, "data_dir": folder, "lease_ms": 3000, "registry_poll_s": 0.2}
        )
        self.redis = SyncRedis(url=self.server.url)
        self.store = JobStore(Keys())
        self.ref = self._push(folder)
        self.app = make_app(self.settings)
        self.log = (folder / "worker.log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "workers", "--name", "w1"],
            env=dict(os.environ) | as_environment(self.settings),
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )

    def _push(self, folder: Path) -> ModelRef:
        source = folder / "source"
        source.mkdir()
        (source / "model.py").write_text(SOURCE)
        return Registry(url=self.settings.registry_location).push(source, name="obedient").manifest.ref

    def submit(self, *words: str) -> list[str]:
        return submit_words(self.redis, self.store, self.ref, words)

    def status(self, member: str) -> JobStatus:
        job = self.redis.run(self.store.read(member))
        assert job is not None
        return job.status

    def finish(self, *members: str) -> list[JobStatus]:
        wait_until(lambda: all(self.status(member).is_terminal for member in members))
        return [self.status(member) for member in members]

    def inspect(self, what: str, *args: tuple[str, object]) -> Any:
        """Ask the one worker, in the way of `celery inspect`."""
        replies = self.app.control.broadcast(what, arguments=dict(args), reply=True, limit=1, timeout=3.0)
        [reply] = replies[0].values()
        return reply

    def cut_connections(self) -> None:
        """Cut every connection to the server, this test's own included."""
        for kind in ("pubsub", "normal"):
            self.redis.client.client_kill_filter(_type=kind, skipme=True)
        self.redis.close()
        self.redis = SyncRedis(url=self.server.url)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.log.close()
        self.redis.close()
        self.app.close()
        self.server.stop()


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorker]:
    worker = RunningWorker(tmp_path_factory.mktemp("celery"))
    worker.finish(*worker.submit("warm up"))
    yield worker
    worker.close()


def test_inspect_answers_during_a_pass_with_what_runs_and_what_waits(worker: RunningWorker) -> None:
    running = worker.submit("sleep 3")
    wait_until(lambda: worker.status(running[0]) is JobStatus.RUNNING)
    waiting = worker.submit("a", "b")

    active = worker.inspect("active")
    wait_until(lambda: worker.inspect("jobs")["jobs_held"] == 3)
    reserved = worker.inspect("reserved")
    asked = worker.inspect("query_task", ("ids", [running[0].partition("/")[2]]))

    assert JobStatus.RUNNING is worker.status(running[0])
    assert [running[0].partition("/")[2]] == [request["id"] for request in active]
    assert active[0]["name"] == "obedient@1"
    assert {member.partition("/")[2] for member in waiting} == {request["id"] for request in reserved}
    assert [running[0].partition("/")[2]] == list(asked)
    assert {JobStatus.SUCCEEDED} == set(worker.finish(*running, *waiting))


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

    wait_until(lambda: worker.inspect("stats")["total"].get("headrace.job", 0) == 1)


def test_after_all_connections_break_jobs_in_flight_finish_and_the_worker_answers(
    worker: RunningWorker,
) -> None:
    [member] = worker.submit("sleep 1")
    wait_until(lambda: worker.status(member) is JobStatus.RUNNING)
    pid = worker.process.pid

    worker.cut_connections()

    assert worker.finish(member) == [JobStatus.SUCCEEDED]
    assert worker.finish(*worker.submit("after")) == [JobStatus.SUCCEEDED]
    wait_until(lambda: answers(lambda: worker.inspect("jobs")))
    assert (pid, None) == (worker.process.pid, worker.process.poll())


def answers(ask: Callable[[], Any]) -> bool:
    try:
        ask()
    except (IndexError, OSError, redis.ConnectionError):
        return False
    return True
