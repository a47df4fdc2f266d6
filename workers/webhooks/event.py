"""The body of an event. It says the same in each attempt, because a job that has ended never changes."""

from typing import Any

import orjson

from headrace.jobs import Job, JobStatus
from headrace.timestamps import rfc3339
from headrace.webhooks import DueDelivery

#: Longer results are fetched by `links.result`; Standard Webhooks asks for bodies under 20 kB.
MOST_INLINE_BYTES = 16_384
#: What an owner has sent to see whether a receiver works.
TEST_EVENT = "endpoint.test"


def body_of(delivery: DueDelivery) -> bytes:
    """`{type, timestamp, data: {seq, job}}` in JSON; the job as the API shows it, with a result that is not long."""
    job = delivery.job
    event = {
        "type": f"job.{job.status}",
        "timestamp": rfc3339(job.ended_ms or job.created_ms),
        "data": {"seq": int(delivery.id.rpartition(":")[2]), "job": _job_document(job, delivery.output)},
    }
    return orjson.dumps(event)


def test_body(endpoint_id: str, now_ms: int) -> bytes:
    """The body of an `endpoint.test`: it is about no job."""
    event = {"type": TEST_EVENT, "timestamp": rfc3339(now_ms), "data": {"endpoint": {"id": endpoint_id}}}
    return orjson.dumps(event)


def _job_document(job: Job, output: bytes | None) -> dict[str, Any]:
    path = f"/v1/jobs/{job.id}"
    document: dict[str, Any] = {
        "id": job.id,
        "status": job.status,
        "attempts": job.attempts,
        "tier": job.tier,
        "model": {"name": job.ref.name, "version": job.ref.version},
        "times": {
            "created": rfc3339(job.created_ms),
            "started": rfc3339(job.started_ms),
            "finished": rfc3339(job.ended_ms),
        },
        "error": None,
        "links": {"self": path, "result": f"{path}/result"},
    }
    if job.status is JobStatus.SUCCEEDED and output is not None:
        document["result"] = orjson.Fragment(output)
    if job.status is JobStatus.FAILED:
        document["error"] = orjson.Fragment(output) if output else {"cause": job.cause}
    return document
