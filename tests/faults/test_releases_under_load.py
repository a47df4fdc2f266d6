"""Releases while jobs run: moves fail no job, bad canaries are taken back, and a wiped Redis forgets no model."""

import itertools
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import httpx2
import pytest

from headrace.model_ref import ModelRef
from tests.faults.cluster import MODEL_FOLDER, Cluster, poll

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(300)]

CYCLES = 20
#: Jobs that must have ended between two moves, so that each move meets traffic.
BETWEEN = 5


@pytest.fixture
def newer(cluster: Cluster, ref: ModelRef, tmp_path: Path) -> ModelRef:
    """A second version that computes the same, without traffic."""
    folder = shutil.copytree(MODEL_FOLDER, tmp_path / "newer")
    (folder / "notes.txt").write_text("the same function, published again")
    return cluster.registry.push(folder, name=ref.name, release=False).manifest.ref


def run(cluster: Cluster, model: str, x: int) -> dict[str, Any]:
    """A job's record after its end; an answer that is none of a job fails the test."""
    body = {"model": model, "input": {"x": x}}
    url = f"{cluster.settings.url}/v1/jobs"
    reply = httpx2.post(url, json=body, headers={"Prefer": "wait=30"}, timeout=60)
    assert reply.status_code == 200, reply.text
    record: dict[str, Any] = reply.json()
    return record


def test_no_job_fails_while_traffic_moves_to_and_fro(cluster: Cluster, ref: ModelRef, newer: ModelRef) -> None:
    cluster.start_worker("w0", serving=ref)
    cluster.start_api()
    cluster.start_scheduler()
    is_over, ended = Event(), list[dict[str, Any]]()

    def keep_asking() -> None:
        while not is_over.is_set():
            ended.append(run(cluster, ref.name, 7))

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(keep_asking) for _ in range(4)]
        try:
            for _ in range(CYCLES):
                cluster.registry.release(newer)
                wait_for_more(ended)
                cluster.registry.log.roll_back(ref.name)
                wait_for_more(ended)
        finally:
            is_over.set()
        for each in asking:
            each.result()

    assert {("succeeded", 50)} == {(record["status"], record["result"]) for record in ended}
    assert {ref.version, newer.version} == {record["model"]["version"] for record in ended}


def test_a_canary_that_fails_is_taken_back_while_jobs_run(cluster: Cluster, ref: ModelRef, tmp_path: Path) -> None:
    folder = shutil.copytree(MODEL_FOLDER, tmp_path / "worse")
    source = (folder / "model.py").read_text()
    # A tenth of the inputs from now on.
    worse = source.replace(
        '"""Sleep as long', 'assert all(question.x % 10 for question in batch)\n        """Sleep as long'
    )
    (folder / "model.py").write_text(worse)
    cluster.start_worker("w0", serving=ref)
    cluster.start_api()
    cluster.start_scheduler()
    canary = cluster.registry.push(folder, name=ref.name, release=False).manifest.ref
    cluster.registry.canary(canary, percent=50)
    asked = itertools.count()

    poll("taken back", lambda: is_taken_back(cluster, ref, run(cluster, ref.name, next(asked))), limit_s=120)

    last = cluster.registry.log.entries(ref.name)[-1]
    assert ("scheduler", {ref.version: 100}) == (last.by, last.routes)
    assert "taken back" in last.why
    poll("all runs are the old one's", lambda: {version_of_next(cluster, ref) for _ in range(20)} == {ref.version})


def version_of_next(cluster: Cluster, ref: ModelRef) -> int:
    """The version that a new job gets."""
    return int(run(cluster, ref.name, 7)["model"]["version"])


def is_taken_back(cluster: Cluster, ref: ModelRef, record: dict[str, Any]) -> bool:
    assert record["status"] == "succeeded" or record["model"]["version"] != ref.version
    return cluster.registry.releases()[ref.name].canary is None


def wait_for_more(ended: list[dict[str, Any]]) -> None:
    enough = len(ended) + BETWEEN
    poll("jobs end", lambda: len(ended) >= enough)


def test_models_and_traffic_survive_a_wiped_redis(cluster: Cluster, ref: ModelRef, newer: ModelRef) -> None:
    cluster.registry.canary(newer, percent=50)
    cluster.registry.alias(ref.name, "next", newer.version)
    before = cluster.registry.log.entries(ref.name)
    cluster.start_worker("w0", serving=newer)
    cluster.start_api()
    cluster.start_scheduler()
    assert run(cluster, f"{ref.name}@next", 7)["result"] == 50

    cluster.redis.client.flushall()

    poll("served again", lambda: is_served(cluster, f"{ref.name}@next", newer.version))
    assert before == cluster.registry.log.entries(ref.name)


def is_served(cluster: Cluster, model: str, version: int) -> bool:
    body = {"model": model, "input": {"x": 7}}
    url = f"{cluster.settings.url}/v1/jobs"
    reply = httpx2.post(url, json=body, headers={"Prefer": "wait=1"}, timeout=30)
    record = reply.json()
    return (reply.status_code, record.get("result")) == (200, 50) and record["model"]["version"] == version
