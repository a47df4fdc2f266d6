"""One of 32 jobs in a forward pass is canceled through the API: the other 31 do not notice."""

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from api.__main__ import make_server
from headrace.jobs import JobStatus
from scheduler.embedded_server import free_port
from tests.integration.engine_rig import wait_until
from tests.integration.running_worker import LIMIT_S, RunningWorker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


class WideWorker(RunningWorker):
    """Runs 32 jobs at once."""

    max_batch = 32


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[RunningWorker]:
    running = WideWorker(tmp_path)
    yield running
    running.close()


@pytest.fixture
def api(worker: RunningWorker) -> Iterator[httpx2.Client]:
    """Calls an API that serves real connections, from a thread."""
    port = free_port()
    server = make_server(worker.settings.model_copy(update={"api_port": port}))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started, limit_s=LIMIT_S)
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        yield client
    server.should_exit = True
    thread.join()


def test_one_of_32_running_jobs_is_canceled_and_the_other_31_are_unaffected(api: httpx2.Client, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.touch()
    second.touch()
    words = [f"hold {first}"], [f"word {number}" if number else f"hold {second}" for number in range(32)]
    # While one pass is held up, 32 jobs gather for the next.
    for batch in words:
        bodies = [{"model": "obedient", "input": word} for word in batch]
        ids = [item["id"] for item in api.post("/v1/jobs:bulk", json=bodies).json()["jobs"]]
        if batch is words[0]:
            wait_until(lambda: statuses(api, ids[:1]) == [JobStatus.RUNNING], limit_s=LIMIT_S)  # noqa: B023
    first.unlink()
    wait_until(lambda: statuses(api, ids) == [JobStatus.RUNNING] * 32, limit_s=LIMIT_S)

    canceled = api.post(f"/v1/jobs/{ids[7]}/cancel").json()
    second.unlink()
    wait_until(lambda: JobStatus.CANCELING not in statuses(api, ids), limit_s=LIMIT_S)

    assert (canceled["status"], canceled["cancel"]["mode"], canceled["batch_size"]) == ("canceling", "discarded", 32)
    records = [api.get(f"/v1/jobs/{job_id}", headers={"Prefer": "wait=30"}).json() for job_id in ids]
    others = [record for number, record in enumerate(records) if number != 7]
    assert records[7]["status"] == "canceled"
    assert [word.upper() for number, word in enumerate(words[1]) if number != 7] == [one["result"] for one in others]
    assert {(1, 32)} == {(record["attempts"], record["batch_size"]) for record in others}


def statuses(api: httpx2.Client, ids: list[str]) -> list[str]:
    return [api.get(f"/v1/jobs/{job_id}").json()["status"] for job_id in ids]
