"""A client that heard nothing sends the same key again: one job, wherever the API had died."""

import json

import httpx2
import pytest

from bench.service import Service
from headrace.model_ref import ModelRef
from tests.faults.cluster import Cluster, poll
from tests.faults.ledger import TENANT

pytestmark = [pytest.mark.slow, pytest.mark.faults, pytest.mark.timeout(300)]

#: From the moment a submission is understood to the moment its answer is on its way.
STEPS = ("api.body_read", "api.before_submit", "api.submitted", "api.before_answer", "api.answered")


def test_the_same_key_after_the_api_died_at_any_step_makes_one_job(cluster: Cluster, ref: ModelRef) -> None:
    for number, step in enumerate(STEPS, start=1):
        api = cluster.start_api()
        cluster.arm(step, "kill9")
        unheard = submit(cluster, ref, key=step)
        await_death(api)
        cluster.disarm()

        again = cluster.start_api()
        answer = submit(cluster, ref, key=step)
        once_more = submit(cluster, ref, key=step)
        other = submit(cluster, ref, key=step, x=8)

        assert answer is not None
        assert answer.status_code in (200, 202)
        assert once_more is not None
        assert [answer.json()["id"]] * 2 == [reply.json()["id"] for reply in (once_more, unheard or once_more)]
        assert other is not None
        assert other.status_code == 422
        assert cluster.redis.client.zcard(cluster.store.keys.index(TENANT)) == number
        again.terminate(limit_s=20)


def await_death(api: Service) -> None:
    poll("dead", lambda: not api.is_running)


def submit(cluster: Cluster, ref: ModelRef, *, key: str, x: int = 7) -> httpx2.Response | None:
    """One try; None if nothing was heard."""
    body = json.dumps({"model": ref.name, "input": {"x": x}})
    headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
    try:
        return httpx2.post(f"{cluster.settings.url}/v1/jobs", content=body, headers=headers, timeout=10)
    except httpx2.TransportError:
        return None
