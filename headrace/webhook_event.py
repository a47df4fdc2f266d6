"""The body of an event, the same in each attempt: an ended job never changes, what came before is kept by itself."""

from typing import Any

import orjson

from headrace.jobs import Job, JobStatus
from headrace.timestamps import rfc3339
from headrace.webhooks import DueDelivery, Earlier

#: Longer results are fetched by `links.result`; Standard Webhooks asks for bodies under 20 kB.
MOST_INLINE_BYTES = 16_384
#: What an owner has sent to see whether a receiver works.
TEST_EVENT = "endpoint.test"


def body_of(delivery: DueDelivery) -> bytes:
    """`{type, timestamp, data: {seq, job}}` in JSON; the job as the API shows it, with a result that is not long."""
    job, at_ms = delivery.job, delivery.job.ended_ms
    if earlier := delivery.earlier:
        job, at_ms = _as_it_ran(job, earlier), earlier.at_ms
    event = {
        "type": delivery.event,
        "timestamp": rfc3339(at_ms or job.created_ms),
        "data": {"seq": int(delivery.id.rpartition(":")[2]), "job": _job_document(job, delivery.output)},
    }
    return orjson.dumps(event)


def _as_it_ran(job: Job, earlier: Earlier) -> Job:
    """The record as it was, whatever became of the job since."""
    return job._replace(
        status=JobStatus.RUNNING,
        started_ms=earlier.started_ms or earlier.at_ms,
        attempts=earlier.attempts,
        ended_ms=None,
        progress=earlier.progress,
    )


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
    if job.status is JobStatus.RUNNING and job.progress is not None:
        document["progress"] = job.progress.document
    if job.status is JobStatus.SUCCEEDED and output is not None:
        document["result"] = orjson.Fragment(output)
    if job.status is JobStatus.FAILED:
        document["error"] = orjson.Fragment(output) if output else {"cause": job.cause}
    return document
