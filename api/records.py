"""How callers see a job, a queue, a worker and a model."""

import heapq
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import orjson

from api.estimates import Waiting, queue_document
from headrace.api_keys import ApiKey
from headrace.job_errors import ERROR_CODES
from headrace.jobs import Job, JobStatus, NewJob, Reason
from headrace.model_moves import ModelMove
from headrace.presence import WorkerPresence
from headrace.store_views import PastAttempt
from headrace.tenant_store import Rate
from headrace.timestamps import rfc3339
from headrace.webhooks import Delivery, event_id_of
from registry.manifest import Manifest
from registry.published import Publications, PublishedVersion, share_of, state_of
from registry.release import Release
from registry.served import ServedModel
from registry.traffic import WHOLE

#: When (Unix milliseconds), what, and a sentence about it if there is one.
_Step: TypeAlias = tuple[int, str, str | None]


def job_document(
    job: Job,
    *,
    waiting: Waiting | None = None,
    output: bytes | None = None,
    delivery: Delivery | None = None,
    metadata: bytes | None = None,
    bound_ms: int = 0,
    kept_s: int = 0,
) -> dict[str, Any]:
    """The record of a job; `output` is the result of one that succeeded, the error document of one that failed."""
    path = f"/v1/jobs/{job.id}"
    document: dict[str, Any] = {
        "id": job.id,
        "status": job.status,
        "reason": waiting.reason if waiting else None,
        "reason_detail": waiting.detail or None if waiting else None,
        "attempts": job.attempts,
        "max_attempts": job.max_attempts,
        "run_timeout_s": job.run_timeout_s,
        "result_ttl_s": job.result_ttl_s,
        "retry_on": job.retry_on,
        "batchable": job.is_batchable,
        "seed": job.seed,
        "fairness_key": job.fairness_key or None,
        "tier": job.tier,
        "model": {"name": job.ref.name, "version": job.ref.version},
        "queue": queue_document(waiting) if waiting else None,
        "progress": job.progress.document if job.progress else None,
        "times": _times(job, kept_s),
        "batch_size": job.batch_size,
        "worker": job.worker,
        "error": _error(job, output),
        "cancel": _cancel(job, bound_ms),
        "webhook": _delivery(delivery) if delivery else None,
        "traceparent": job.traceparent,
        "metadata": orjson.Fragment(metadata) if metadata else {},
        "links": {
            "self": path,
            "result": f"{path}/result",
            "cancel": f"{path}/cancel",
            "timeline": f"{path}/timeline",
        },
    }
    if job.status is JobStatus.SUCCEEDED and output is not None:
        document["result"] = orjson.Fragment(output)
    return document


def timeline_document(job: Job, past: Sequence[PastAttempt] = (), moves: Sequence[ModelMove] = ()) -> dict[str, Any]:
    """What happened to a job and when, and what it cost: its last attempt, and those before that came to no result.

    Between its own steps stand the loads that it waited for.
    """
    ready_ms = job.ready_ms or job.created_ms
    steps: list[tuple[str, int | None]] = [
        ("accepted", job.created_ms),
        ("ready", ready_ms),
        ("hastened", job.hastened_ms),
        ("claimed", job.claimed_ms),
        ("started", job.started_ms if _has_run(job) else None),
        (job.status if job.status.is_terminal else "ended", job.ended_ms),
    ]
    return {
        "id": job.id,
        "status": job.status,
        "steps": _steps(steps, moves),
        "waits": {
            "scheduled_ms": ready_ms - job.created_ms,
            "queue_ms": _between(ready_ms, job.claimed_ms or job.started_ms),
            "batch_ms": _between(job.claimed_ms, job.started_ms) if _has_run(job) else None,
        },
        "progress": job.progress.document if job.progress else None,
        "ran_ms": _between(job.started_ms, job.ended_ms) if _has_run(job) else None,
        "spent_ms": job.spent_ms,
        "attempts": job.attempts,
        "earlier_attempts": list(map(_past_attempt, past)),
        "workers_lost": job.rescues,
        "outgrown_bytes": job.outgrown_bytes or None,
        "batch_size": job.batch_size,
        "worker": job.worker,
        "model": {"name": job.ref.name, "version": job.ref.version},
        "tier": job.tier,
    }


def _steps(own: Iterable[tuple[str, int | None]], moves: Iterable[ModelMove]) -> list[dict[str, Any]]:
    """All steps in their order."""
    of_job: list[_Step] = [(at_ms, name, None) for name, at_ms in own if at_ms is not None]
    of_model: list[_Step] = [(move.at_ms, move.kind, move.sentence) for move in moves]
    both = heapq.merge(of_job, of_model, key=_moment)
    return [{"step": name, "at": rfc3339(at_ms), "detail": detail} for at_ms, name, detail in both]


def _moment(step: _Step) -> tuple[int, int]:
    """When it was; in one millisecond a load comes after its job's arrival and before its claim."""
    at_ms, name, detail = step
    return at_ms, 0 if name in ("accepted", "ready") else 1 if detail else 2


def _past_attempt(attempt: PastAttempt) -> dict[str, Any]:
    return {
        "worker": attempt.worker,
        "batch_size": attempt.batch_size,
        "started": rfc3339(attempt.started_ms),
        "ended": rfc3339(attempt.ended_ms),
        "reason": attempt.why,
    }


def _has_run(job: Job) -> bool:
    """Tell whether what it says of a pass is of its last claim, not of an attempt before."""
    return job.started_ms is not None and (job.claimed_ms is None or job.started_ms >= job.claimed_ms)


def _between(first_ms: int | None, last_ms: int | None) -> int | None:
    return None if first_ms is None or last_ms is None else max(0, last_ms - first_ms)


def accepted_job(job: NewJob, *, now_ms: int) -> Job:
    """The record of a job that was stored a moment ago."""
    return Job(
        id=job.id,
        tenant=job.tenant,
        ref=job.ref,
        tier=job.tier,
        status=JobStatus.QUEUED,
        fence=0,
        attempts=0,
        max_attempts=job.max_attempts,
        run_timeout_s=job.run_timeout_s,
        result_ttl_s=job.result_ttl_s,
        retry_on=job.retry_on,
        is_batchable=job.is_batchable,
        seed=job.seed,
        fairness_key=job.fairness_key,
        score=0,
        created_ms=now_ms,
        reason=Reason.SCHEDULED if job.not_before_ms > now_ms else None,
        deadline_ms=job.deadline_ms or None,
        start_by_ms=job.start_by_ms or None,
        has_webhook=bool(job.webhook_url),
        traceparent=job.traceparent or None,
    )


def _times(job: Job, kept_s: int) -> dict[str, str | None]:
    kept_s = job.result_ttl_s or kept_s
    return {
        "created": rfc3339(job.created_ms),
        "claimed": rfc3339(job.claimed_ms),
        "started": rfc3339(job.started_ms),
        "finished": rfc3339(job.ended_ms),
        "expires": rfc3339(job.ended_ms + 1000 * kept_s) if job.ended_ms and kept_s else None,
        "start_by": rfc3339(job.start_by_ms),
        "deadline": rfc3339(job.deadline_ms),
    }


def _cancel(job: Job, bound_ms: int) -> dict[str, Any] | None:
    """What becomes of a job whose cancellation was asked for, and by when."""
    if job.status is JobStatus.CANCELING:
        return {"mode": "discarded", "effective_by": rfc3339((job.started_ms or job.claimed_ms or 0) + bound_ms)}
    if job.status is not JobStatus.CANCELED:
        return None
    ran = job.worker is not None and (job.started_ms or 0) >= (job.claimed_ms or 0) > 0
    return {"mode": "discarded" if ran else "dropped", "effective_by": rfc3339(job.ended_ms)}


def _error(job: Job, output: bytes | None) -> dict[str, Any] | None:
    if job.status is not JobStatus.FAILED:
        return None
    said = orjson.loads(output) if output else {}
    cause = job.cause or said.get("cause", "internal")
    return {
        "cause": cause,
        "code": ERROR_CODES.get(cause, cause),
        "detail": said.get("detail", "its explanation is no longer kept"),
        "retryable": bool(said.get("retryable", False)),
        "attempts": job.attempts,
        "errors": said.get("errors", []),
    }


def delivery_document(delivery: Delivery) -> dict[str, Any]:
    """The delivery of an event, as `GET /v1/webhook-deliveries` lists it."""
    job = {"id": delivery.job_id, "links": {"self": f"/v1/jobs/{delivery.job_id}"}}
    return {"id": event_id_of(delivery.id), "job": job, **_delivery(delivery)}


def _delivery(delivery: Delivery) -> dict[str, Any]:
    return {
        "url": delivery.url,
        "status": delivery.state,
        "attempts": delivery.attempts,
        "outcome": delivery.outcome,
        "attempted": rfc3339(delivery.attempted_ms),
        "next_attempt": rfc3339(delivery.due_ms),
    }


def key_document(key: ApiKey, rate: Rate | None, *, now_ms: int) -> dict[str, Any]:
    """An API key, as operators see it: never its secret, nor what is kept of it."""
    return {
        "id": key.id,
        "tenant": key.tenant,
        "scopes": key.scopes,
        "name": key.name,
        "state": key.state(now_ms),
        "requests": rate and rate.model_dump(),
        "created": rfc3339(key.created_ms),
        "expires": rfc3339(key.expires_ms or None),
        "revoked": rfc3339(key.revoked_ms or None),
    }


def model_document(model: ServedModel, *, workers: int) -> dict[str, Any]:
    """A released model; `workers` are ready to run its current version."""
    manifest = model.current.manifest
    path = f"/v1/models/{manifest.name}"
    return {
        "name": manifest.name,
        "version": manifest.version,
        "routes": {str(version): weight for version, weight in sorted(model.release.routes.items())},
        "description": manifest.description,
        "max_batch": manifest.max_batch,
        "takes_seed": manifest.takes_seed,
        "workers": workers,
        "created": manifest.created,
        "released": model.release.at,
        "examples": manifest.examples,
        "input_schema": manifest.input_schema,
        "output_schema": manifest.output_schema,
        "links": {"self": path, "submit": "/v1/jobs", "versions": f"{path}/versions", "schema": f"{path}/schema"},
    }


def versions_document(release: Release, found: Publications) -> dict[str, Any]:
    """Versions of a model, as its release sees them."""
    return {
        "model": release.model,
        "versions": [_version(release, version) for version in found.versions],
        "next": found.next,
    }


def _version(release: Release, found: PublishedVersion) -> dict[str, Any]:
    number, manifest, problem = found
    return {
        "version": number,
        "state": state_of(release, number),
        "share": share_of(release, number),
        "shadow_share": release.shadows.get(number, 0) / WHOLE,
        "aliases": sorted(alias for alias, meant in release.aliases.items() if meant == number),
        "digest": manifest and manifest.digest,
        "created": manifest and manifest.created,
        "problem": problem or None,
        "links": {"schema": f"/v1/models/{release.model}/schema?version={number}"},
    }


def schema_document(manifest: Manifest) -> dict[str, Any]:
    """What a version takes and gives."""
    return {
        "model": manifest.name,
        "version": manifest.version,
        "digest": manifest.digest,
        "input_schema": manifest.input_schema,
        "output_schema": manifest.output_schema,
        "takes_seed": manifest.takes_seed,
    }


def worker_document(worker: WorkerPresence) -> dict[str, Any]:
    """A worker as it describes itself."""
    document = worker.model_dump(mode="json", exclude={"started_ms", "ready_ms"})
    ready = None if worker.ready_ms is None else rfc3339(worker.ready_ms)
    return {**document, "started": rfc3339(worker.started_ms), "ready": ready}
