"""A corrupt model file in the registry: it is refused by name, its jobs wait and say why, nothing runs hot."""

import time

import httpx2
import pytest

from headrace.jobs import Reason
from headrace.model_ref import ModelRef
from headrace.presence import ModelState
from tests.faults.cluster import Cluster, poll

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

WATCHED_S = 3.0
#: An idle system of one API, one scheduler (five rounds a second) and one worker stays far below this.
MOST_COMMANDS_PER_S = 150


def test_a_corrupt_model_is_refused_and_its_jobs_wait(cluster: Cluster, ref: ModelRef) -> None:
    _corrupt(cluster)
    cluster.start_api()
    cluster.start_scheduler()
    worker = cluster.start_worker("w0", serving=None)
    url = f"{cluster.settings.url}/v1/jobs"

    accepted = httpx2.post(url, json={"model": ref.name, "input": {"x": 1}}, timeout=10).json()
    poll("refused", lambda: _model_state(cluster, ref) is ModelState.FAILED)

    commands_per_s = _commands_per_s(cluster)
    job = httpx2.get(f"{url}/{accepted['id']}", timeout=10).json()
    assert job["status"] == "queued"
    assert job["reason"] == Reason.NO_COMPATIBLE_WORKER
    assert "model.py" in str(job)
    assert worker.is_running
    assert commands_per_s < MOST_COMMANDS_PER_S


def _corrupt(cluster: Cluster) -> None:
    """Change one byte of the model's source where the registry keeps it."""
    kept = [path for path in (cluster.settings.data_dir / "registry").rglob("*") if path.is_file()]
    (source,) = [path for path in kept if b"class Exact(Model" in path.read_bytes()]
    content = bytearray(source.read_bytes())
    content[0] ^= 1
    source.write_bytes(content)


def _model_state(cluster: Cluster, ref: ModelRef) -> ModelState | None:
    models = [presence.models.get(str(ref)) for presence in cluster.presences()]
    return next((model.state for model in models if model is not None), None)


def _commands_per_s(cluster: Cluster) -> float:
    """Commands that the server carries out, scripts' own included, while nothing is asked of it."""
    before = cluster.redis.client.info("stats")["total_commands_processed"]
    time.sleep(WATCHED_S)
    after = cluster.redis.client.info("stats")["total_commands_processed"]
    return float((after - before) / WATCHED_S)
