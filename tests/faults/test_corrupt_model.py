"""A corrupt model file or an unsigned version: refused by name, its jobs wait and say why, nothing runs hot."""

import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from headrace.jobs import Reason
from headrace.model_ref import ModelRef
from headrace.presence import ModelState
from registry.signing import Signer, make_key
from tests.faults.cluster import Cluster, poll

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

WATCHED_S = 3.0
#: An idle system of one API, one scheduler (five rounds a second) and one worker needs about a hundred.
MOST_COMMANDS_PER_S = 400
#: With pauses of 1, 2 and 4 s between them.
MOST_LOADS = 5


def test_a_corrupt_model_is_refused_and_its_jobs_wait(cluster: Cluster, ref: ModelRef) -> None:
    _corrupt(cluster)
    cluster.start_api()
    cluster.start_scheduler()
    worker = cluster.start_worker("w0", serving=None)
    url = f"{cluster.settings.url}/v1/jobs"

    accepted = httpx2.post(url, json={"model": ref.name, "input": {"x": 1}}, timeout=10).json()
    poll("refused", lambda: _model_state(cluster, ref) is ModelState.FAILED)

    commands_per_s = _commands_per_s(cluster)
    loads = worker.log.read_text().count(f"{ref} cannot be loaded")
    assert commands_per_s < MOST_COMMANDS_PER_S
    assert 1 <= loads <= MOST_LOADS
    assert worker.is_running
    # While it is tried again, the reason is for a moment that the model loads.
    poll("explained", lambda: _is_explained(_read(f"{url}/{accepted['id']}")))
    assert _read(f"{url}/{accepted['id']}")["status"] == "queued"


def test_a_version_that_no_trusted_signer_signed_is_not_run_until_one_does(
    cluster: Cluster, ref: ModelRef, tmp_path: Path
) -> None:
    public = make_key(tmp_path / "key")
    demand = {"require_signatures": True, "trusted_signers": [public]}
    cluster.settings = cluster.settings.model_copy(update=demand)
    worker = cluster.start_worker("w0", serving=None)
    poll("refused", lambda: _model_state(cluster, ref) is ModelState.FAILED)

    cluster.registry.sign(ref, Signer(key_file=tmp_path / "key"))

    poll("served", lambda: cluster.serves(worker, ref))
    assert f"{ref} is not signed" in worker.log.read_text()


def _corrupt(cluster: Cluster) -> None:
    """Change one byte of the model's source where the registry keeps it."""
    kept = [path for path in (cluster.settings.data_dir / "registry").rglob("*") if path.is_file()]
    (source,) = [path for path in kept if b"class Exact(Model" in path.read_bytes()]
    content = bytearray(source.read_bytes())
    content[0] ^= 1
    source.write_bytes(content)


def _is_explained(job: dict[str, Any]) -> bool:
    return job["reason"] == Reason.NO_COMPATIBLE_WORKER and "model.py" in str(job)


def _read(url: str) -> dict[str, Any]:
    job: dict[str, Any] = httpx2.get(url, timeout=10).json()
    return job


def _model_state(cluster: Cluster, ref: ModelRef) -> ModelState | None:
    models = [presence.models.get(str(ref)) for presence in cluster.presences()]
    return next((model.state for model in models if model is not None), None)


def _commands_per_s(cluster: Cluster) -> float:
    """Commands that the server carries out, scripts' own included, while nothing is asked of it."""
    before = cluster.redis.client.info("stats")["total_commands_processed"]
    time.sleep(WATCHED_S)
    after = cluster.redis.client.info("stats")["total_commands_processed"]
    return float((after - before) / WATCHED_S)
