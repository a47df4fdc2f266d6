"""Dead letters from the command line."""

import json
from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from headrace.cli import app, exit_code
from headrace.errors import HeadraceError
from headrace.job_errors import error_document
from headrace.jobs import Cause, JobStatus
from headrace.store import JobStore
from headrace.store_work import Outcome
from headrace.sync_redis import SyncRedis
from tests.contract.conftest import HandWorker

Run = Callable[..., Result]


@pytest.fixture
def run(live_url: str) -> Run:
    """Runs `headrace …` against the API."""

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--url", live_url])

    return run


@pytest.fixture
def given_up(run: Run, worker: HandWorker, connection: SyncRedis, store: JobStore) -> list[str]:
    """Ids of two jobs that killed their process twice, the older first."""
    ids = [run("submit", "greeter", json.dumps({"text": text})).stdout.strip() for text in ("first", "second")]
    body = error_document(Cause.WORKER_LOST, "killed its process twice")
    outcomes = [Outcome(job.lease, JobStatus.FAILED, Cause.WORKER_LOST, body) for job in worker.claim()]
    connection.run(store.commit(outcomes, ran_ms=5, result_ttl_s=60))
    return ids


def test_they_are_listed_with_their_cause(run: Run, given_up: list[str]) -> None:
    lines = run("dead-letters", "ls", "--cause", "worker_lost").stdout.splitlines()

    assert lines[0].split() == ["ID", "MODEL", "TIER", "CAUSE", "ATTEMPTS", "ENDED", "DETAIL"]
    assert [line.split()[0] for line in lines[1:]] == given_up[::-1]


def test_one_is_shown_with_its_input(run: Run, given_up: list[str]) -> None:
    document = json.loads(run("dead-letters", "show", given_up[0], "--json").stdout)

    assert (given_up[0], {"text": "first"}) == (document["id"], document["input"])


def test_all_are_sent_again_oldest_first(run: Run, given_up: list[str], worker: HandWorker) -> None:
    made = [json.loads(line) for line in run("dead-letters", "redrive", "--all", "--json").stdout.splitlines()]

    assert given_up == [one["id"] for one in made]
    assert [f"default/{one['job']}" for one in made] == [job.member for job in worker.claim()]
    assert run("dead-letters", "ls", "--json").stdout == ""


@pytest.mark.parametrize("arguments", [(), ("some-id", "--all")])
def test_redrive_wants_either_ids_or_all(run: Run, arguments: tuple[str, ...]) -> None:
    result = run("dead-letters", "redrive", *arguments)

    assert isinstance(result.exception, HeadraceError)
    assert (2, True) == (exit_code(result.exception), "--all" in result.exception.detail)
