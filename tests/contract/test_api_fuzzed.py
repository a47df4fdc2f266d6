"""Requests that a machine makes up, from the OpenAPI document alone, against the API on a real server.

schemathesis sends what fits the document and what does not, follows its links from one route to the next, and holds
each answer against it. `make test` gives it a fixed seed and few examples a route, `make fuzz` ten minutes of chance.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from api import catalog
from headrace.api_keys import Scope
from headrace.job_errors import error_document
from headrace.jobs import Cause, JobStatus
from headrace.keys import Keys
from headrace.settings import Settings
from headrace.store import JobStore
from headrace.store_work import ClaimedJob, Outcome
from headrace.sync_redis import SyncRedis
from headrace.tiers import Tier
from tests.contract.conftest import HandWorker
from tests.contract.keyring import Keyring

_SEED = 1
_EXAMPLES = 75
_LIMIT_S = 420
#: The seed, how many requests there were, and what came of them.
_SUMMARY_LINES = 25


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Nobody waits long for the jobs that run on."""
    return settings.model_copy(update={"max_wait_s": 0.2})


@pytest.fixture
def ending(worker: HandWorker, connection: SyncRedis, store: JobStore) -> Iterator[None]:
    """Brings most jobs to an end, one way or the other, while the test runs; every fifth runs on."""
    over = threading.Event()

    def end(job: ClaimedJob) -> None:
        match job.lease.fence % 5:
            case 0:
                worker.start(job)
            case 1:
                broken = Outcome(job.lease, JobStatus.FAILED, Cause.MODEL, error_document(Cause.MODEL, "it broke"))
                connection.run(store.commit([broken], ran_ms=5, result_ttl_s=3600))
            case 2:
                lost = Outcome(
                    job.lease, JobStatus.FAILED, Cause.WORKER_LOST, error_document(Cause.WORKER_LOST, "twice")
                )
                connection.run(store.commit([lost], ran_ms=5, result_ttl_s=3600))
            case _:
                done = Outcome(job.lease, JobStatus.SUCCEEDED, None, b'"done"')
                connection.run(store.commit([done], ran_ms=5, result_ttl_s=3600))

    def serve() -> None:
        while not over.wait(0.05):
            for tier in Tier:
                for job in worker.claim(tier=tier):
                    end(job)

    thread = threading.Thread(target=serve)
    thread.start()
    yield
    over.set()
    thread.join()


@pytest.fixture
def quick_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of models that nobody released are refused at once, not after a look at the registry a second."""
    monkeypatch.setattr(catalog, "_FORCED_REFRESH_S", 0.01)


@pytest.mark.slow
@pytest.mark.timeout(1000)
@pytest.mark.usefixtures("quick_refusals", "ending")
def test_no_made_up_request_is_answered_with_a_fault_or_against_the_document(
    live_url: str, connection: SyncRedis, keys: Keys, fuzz_time_s: int, tmp_path: Path
) -> None:
    key = Keyring(connection, keys).headers("acme", Scope.ADMIN)["Authorization"]
    how = ["--max-time", str(fuzz_time_s)] if fuzz_time_s else ["--seed", str(_SEED), "--max-examples", str(_EXAMPLES)]

    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(Path(__file__).with_name("fuzz.toml"))),
            *("run", f"{live_url}/openapi.json", "--no-color", "--header", f"Authorization: {key}", *how),
        ],
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=fuzz_time_s + _LIMIT_S,
    )

    print(*done.stdout.splitlines()[-_SUMMARY_LINES:], sep="\n")  # noqa: T201 - what `make fuzz` shows
    assert done.returncode == 0, "\n".join(line[:800] for line in (done.stdout + done.stderr).splitlines())
    assert "Authentication failed" not in done.stdout, "the key was refused"
