"""Every command of `celery inspect` and `celery control`, sent to a worker that is in the middle of a forward pass."""

from collections.abc import Iterator
from typing import Any

import pytest
from celery.worker.control import Panel

from headrace.jobs import JobStatus, Reason
from headrace.presence import explain_wait
from headrace.tiers import Tier
from tests.integration.engine_rig import wait_until
from tests.integration.running_worker import LIMIT_S, RunningWorker

pytestmark = pytest.mark.slow

#: Not asked: it draws a graph of the whole process by a program that nobody needs.
NOT_ASKED = {"objgraph"}
INSPECT = sorted(name for name, meta in Panel.meta.items() if meta.type == "inspect" and name not in NOT_ASKED)

#: Command -> its arguments, and part of the answer: what it did, or what to do instead.
CONTROL: dict[str, tuple[dict[str, Any], str, str]] = {
    "add_consumer": ({"queue": "reports"}, "ok", "add consumer reports"),
    "cancel_consumer": ({"queue": "reports"}, "ok", "no longer consuming from reports"),
    "disable_events": ({}, "ok", "task events"),
    "enable_events": ({}, "ok", "task events"),
    "pause": ({"what": ["obedient:spot"]}, "ok", "paused is obedient@*:spot"),
    "resume": ({}, "ok", "paused is nothing"),
    "serve": ({}, "ok", "serves *; paused is nothing"),
    "revoke": ({"task_id": "no-such-task"}, "ok", "no-such-task: flagged as revoked"),
    "revoke_by_stamped_headers": ({"headers": {"a": "b"}}, "ok", "flagged as revoked"),
    "terminate": ({"signal": "KILL", "task_id": ["no-such-task"]}, "ok", "no-such-task: flagged as revoked"),
    "autoscale": ({"max": 3, "min": 1}, "error", "raise min_workers or max_workers"),
    "pool_grow": ({"n": 1}, "error", "raise min_workers or max_workers"),
    "pool_shrink": ({"n": 1}, "error", "`control shutdown` drains this one"),
    "rate_limit": ({"task_name": "obedient@1", "rate_limit": "5/s"}, "error", "jobs have no rate limit"),
    "time_limit": ({"task_name": "obedient@1", "soft": 1, "hard": 2}, "error", "the setting forward_limit_s"),
}
#: Those that answer nobody, or end what the others ask, have tests of their own.
ELSEWHERE = {"pool_restart", "shutdown", "heartbeat", "election"}


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorker]:
    worker = RunningWorker(tmp_path_factory.mktemp("control"), redis_password="")
    worker.finish(*worker.submit("warm up"))
    yield worker
    worker.close()


@pytest.fixture(scope="module")
def running(worker: RunningWorker) -> Iterator[str]:
    """A job in a forward pass that lasts as long as these tests."""
    member, file = worker.hold("hold")
    yield member
    file.unlink()
    assert [JobStatus.SUCCEEDED] == worker.finish(member)


def test_every_command_is_asked_here() -> None:
    commands = {name for name, meta in Panel.meta.items() if meta.type == "control"}

    assert commands == set(CONTROL) | ELSEWHERE


@pytest.mark.parametrize("command", INSPECT)
def test_inspect_answers_during_a_pass(worker: RunningWorker, running: str, command: str) -> None:
    arguments = {"ids": [running], "from_node": "me"}

    answer = worker.ask(command, **{name: value for name, value in arguments.items() if _takes(command, name)})

    assert JobStatus.RUNNING is worker.status(running)
    assert not (isinstance(answer, dict) and "error" in answer)


def _takes(command: str, argument: str) -> bool:
    return {"query_task": "ids", "hello": "from_node"}.get(command) == argument


@pytest.mark.parametrize("command", CONTROL)
def test_control_answers_during_a_pass(worker: RunningWorker, running: str, command: str) -> None:
    arguments, kind, part = CONTROL[command]

    answer = worker.ask(command, **arguments)

    assert JobStatus.RUNNING is worker.status(running)
    assert part in answer[kind]


def test_stats_show_what_the_engine_did(worker: RunningWorker, running: str) -> None:
    stats = worker.ask("stats")

    assert 1 <= stats["jobs"]["jobs_done"]
    assert 1 <= stats["total"]["obedient@1"]
    assert JobStatus.RUNNING is worker.status(running)


def test_the_plain_queue_is_listed_and_jobs_queues_are_not(worker: RunningWorker, running: str) -> None:
    queues = {queue["name"] for queue in worker.ask("active_queues")}

    assert "headrace.plain" in queues
    assert not any("obedient" in queue for queue in queues)
    assert JobStatus.RUNNING is worker.status(running)


def test_the_configuration_is_shown_without_what_is_secret(worker: RunningWorker) -> None:
    assert "headrace_settings" not in str(worker.ask("conf"))


@pytest.mark.parametrize("command", ["add_consumer", "cancel_consumer"])
@pytest.mark.parametrize("queue", ["obedient", "obedient@1", "obedient@1:spot"])
def test_queues_of_jobs_are_not_consumed_by_name(worker: RunningWorker, command: str, queue: str) -> None:
    answer = worker.ask(command, queue=queue)

    assert "do not come through Celery's queues" in answer["error"]


def test_a_revoked_job_that_waits_here_never_runs(worker: RunningWorker, running: str) -> None:
    members = worker.submit("one", "two")
    wait_until(lambda: worker.holds(3), limit_s=LIMIT_S)
    ids = [member.partition("/")[2] for member in members]

    answer = worker.ask("revoke", task_id=ids)

    assert "; ".join(f"{job}: canceled" for job in ids) == answer["ok"]
    assert [JobStatus.CANCELED] * 2 == [worker.status(member) for member in members]
    assert set(ids) <= set(worker.ask("revoked"))
    assert [] == worker.ask("reserved")
    assert JobStatus.RUNNING is worker.status(running)


def test_a_paused_queue_is_left_alone_and_says_so(worker: RunningWorker, running: str) -> None:
    worker.ask("pause")
    [member] = worker.submit("later")
    wait_until(lambda: (said := worker.presence()) is not None and len(said.paused) == 3, limit_s=LIMIT_S)
    said = worker.presence()
    assert said is not None

    reason, detail = explain_wait(worker.ref, Tier.STANDARD, [said])
    was_held = worker.job(member).worker

    assert (Reason.QUEUE_PAUSED, "paused by remote control on w1") == (reason, detail)
    assert was_held is None
    worker.ask("resume")
    wait_until(lambda: worker.job(member).worker is not None, limit_s=LIMIT_S)
    assert JobStatus.RUNNING is worker.status(running)


def test_what_is_not_served_any_more_is_not_claimed(worker: RunningWorker, running: str) -> None:
    worker.ask("serve", names=["another"])
    [member] = worker.submit("for nobody")
    wait_until(lambda: (said := worker.presence()) is not None and not said.models, limit_s=LIMIT_S)

    was_held = worker.job(member).worker
    answer = worker.ask("serve")

    assert was_held is None
    assert "serves *; paused is nothing" == answer["ok"]
    wait_until(lambda: worker.job(member).worker is not None, limit_s=LIMIT_S)
    assert JobStatus.RUNNING is worker.status(running)


@pytest.mark.parametrize(
    ("command", "arguments", "problem"),
    [
        ("pause", {"what": ["@"]}, "names no jobs"),
        ("resume", {"what": ["obedient"]}, "was not paused here"),
        ("serve", {"names": ["obedient@1"]}, "is not a model's name"),
    ],
)
def test_a_mistake_is_answered_with_the_way_out(
    worker: RunningWorker, command: str, arguments: dict[str, Any], problem: str
) -> None:
    assert problem in worker.ask(command, **arguments)["error"]


def test_terminating_a_running_job_cancels_it_alone(tmp_path_factory: pytest.TempPathFactory) -> None:
    worker = RunningWorker(tmp_path_factory.mktemp("terminate"))
    try:
        worker.finish(*worker.submit("warm up"))
        first, file = worker.hold("first")
        batch = worker.submit(f"hold {file}", f"hold {file}")
        wait_until(lambda: worker.holds(3), limit_s=LIMIT_S)
        child = worker.ask("jobs")["child_pid"]
        ids = [member.partition("/")[2] for member in (first, *batch)]

        answer = worker.ask("revoke", task_id=[ids[0], ids[1]], terminate=True, signal="SIGKILL")
        file.unlink()

        assert f"{ids[0]}: canceling" in answer["ok"]
        assert f"{ids[1]}: canceled" in answer["ok"]
        ends = [JobStatus.CANCELED, JobStatus.CANCELED, JobStatus.SUCCEEDED]
        assert ends == worker.finish(first, *batch)
        assert child == worker.ask("jobs")["child_pid"]
    finally:
        worker.close()


def test_the_models_process_is_replaced_between_two_passes(tmp_path_factory: pytest.TempPathFactory) -> None:
    worker = RunningWorker(tmp_path_factory.mktemp("restart"))
    try:
        worker.finish(*worker.submit("warm up"))
        first, file = worker.hold("first")
        waiting = worker.submit("a", "b")
        wait_until(lambda: worker.holds(3), limit_s=LIMIT_S)
        child = worker.ask("jobs")["child_pid"]

        answer = worker.ask("pool_restart")
        file.unlink()

        assert "is replaced" in answer["ok"]
        assert [JobStatus.SUCCEEDED] * 3 == worker.finish(first, *waiting)
        wait_until(lambda: worker.ask("jobs")["child_pid"] not in (None, child), limit_s=LIMIT_S)
        assert [1, 1, 1] == [worker.job(member).attempts for member in (first, *waiting)]
        assert [JobStatus.SUCCEEDED] == worker.finish(*worker.submit("after"))
    finally:
        worker.close()


def test_a_shutdown_by_remote_control_finishes_the_batch(tmp_path_factory: pytest.TempPathFactory) -> None:
    worker = RunningWorker(tmp_path_factory.mktemp("shutdown"))
    try:
        worker.finish(*worker.submit("warm up"))
        member, file = worker.hold("hold")

        worker.app.control.shutdown()
        worker.wait_logged("Got shutdown from remote")
        file.unlink()

        assert 0 == worker.process.wait(LIMIT_S)
        assert JobStatus.SUCCEEDED is worker.status(member)
        assert 0 == worker.leases()
    finally:
        worker.close()
