"""Queues from the command line: what waits, and what workers leave alone."""

import json
from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from headrace.cli import app, exit_code
from headrace.client import Client
from headrace.errors import Conflict, HeadraceError, QueueNotFound
from tests.contract.conftest import HandWorker

Run = Callable[..., Result]
QUEUE = "greeter@1:standard"


@pytest.fixture
def run(live_url: str) -> Run:
    """Runs `headrace …` against the API."""

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--url", live_url])

    return run


def row_of(table: str, tier: str) -> list[str]:
    [row] = [line.split() for line in table.splitlines() if line.split()[1:2] == [tier]]
    return row


def test_a_queue_is_paused_marked_in_every_picture_and_resumed(run: Run, worker: HandWorker) -> None:
    run("submit", "greeter", '{"text": "hi"}')

    paused = run("queues", "pause", QUEUE, "--reason", "bad images")

    assert paused.stdout.startswith(f"{QUEUE} is paused since 2")
    for picture in (run("queues").stdout, run("queues", "ls").stdout, run("top", "--once").stdout):
        assert "PAUSED since" in " ".join(row_of(picture, "standard"))
        assert "bad images" in " ".join(row_of(picture, "standard"))
        assert "PAUSED" not in row_of(picture, "spot")
    assert [] == worker.claim()
    assert f"workers take jobs of {QUEUE}\n" == run("queues", "resume", QUEUE).stdout
    assert 1 == len(worker.claim())


def test_what_waits_is_counted_and_canceled_when_it_was_said_how_much(run: Run) -> None:
    for _ in range(3):
        run("submit", "greeter", '{"text": "hi"}')

    counted, refused = run("queues", "purge", QUEUE), run("queues", "purge", QUEUE, "--confirm", "2")
    done = run("queues", "purge", QUEUE, "--confirm", "3", "--json")

    assert "3 jobs would be canceled; --confirm 3 does it\n" == counted.stdout
    assert isinstance(refused.exception, Conflict)
    assert {"matched": 3, "canceled": 3, "canceling": 0, "ended": 0} == json.loads(done.stdout)
    assert f"nothing waits in {QUEUE}\n" == run("queues", "purge", QUEUE).stdout


def test_each_prints_json_for_programs(run: Run) -> None:
    paused = json.loads(run("queues", "pause", QUEUE, "--json").stdout)
    listed = [json.loads(line) for line in run("queues", "--json").stdout.splitlines()]
    resumed = json.loads(run("queues", "resume", QUEUE, "--json").stdout)

    assert (QUEUE, None) == (paused["name"], paused["paused"]["reason"])
    assert {QUEUE: paused["paused"]} == {queue["name"]: queue["paused"] for queue in listed if queue["paused"]}
    assert {"name": QUEUE, "paused": None} == resumed


def test_a_queue_that_is_none_is_an_error_of_the_caller(run: Run, live_url: str) -> None:
    error = run("queues", "pause", "greeter").exception

    assert isinstance(error, HeadraceError)
    assert 2 == exit_code(error)
    with Client(live_url) as client, pytest.raises(QueueNotFound, match="no queue is called 'nobody@1:spot'"):
        client.resume_queue("nobody@1:spot")
