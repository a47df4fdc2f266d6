"""SubmitDesk: takes jobs from Celery producers, under the rules of `POST /v1/jobs`."""

import logging
import time
from collections.abc import Mapping
from typing import Any

import orjson

from headrace.errors import FieldError, HeadraceError, IdempotencyMismatch, RedisUnavailable
from headrace.id_key import offer_id_key, read_id_key
from headrace.ids import DEFAULT_TENANT, new_job_id
from headrace.jobs import NewJob
from headrace.keys import Keys
from headrace.reading import invalid_fields
from headrace.server_clock import ask_time
from headrace.settings import Settings
from headrace.shadow import SHADOW_TENANT, shadow_of
from headrace.store import JobStore
from headrace.store_submissions import SubmitOutcome, Submitted
from headrace.submission import fingerprint, new_job, parse_submission, refusal_of
from headrace.sync_redis import SyncRedis
from registry.registry import Registry
from registry.served import ServedModel, ServedVersion, read_served, unknown_model, unknown_version
from workers.task_results import task_mark

log = logging.getLogger("headrace.submit")

#: A name that is not known makes the desk look again, at most once in this time.
_LOOK_AGAIN_S = 1.0


class SubmitDesk:
    """One per process, for one thread.

    Args:
        settings: of this process.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store = JobStore(Keys(cell=settings.cell))
        self._redis = SyncRedis(url=settings.redis_url)
        self._models: dict[str, ServedModel] = {}
        self._looked_at = float("-inf")
        self._id_key = b""

    def submit(self, document: Mapping[str, Any], *, task_id: str, wants_result: bool) -> str:
        """Store the job that a task asks for; the same task, delivered again, makes no other. Answers the job's id.

        Raises:
            HeadraceError: saying what is wrong; nothing was stored then.
        """
        raw = orjson.dumps(document)
        body = parse_submission(raw)
        if body.webhook is not None:
            problem = "is not taken here: the end of the job is the task's result; drop it, or submit over HTTP"
            raise invalid_fields([FieldError("/webhook", problem, "webhook_not_taken")])
        if wants_result and body.options.dedupe is not None:
            # The end of an earlier job is told to the task that made it, and whoever came second would wait for ever.
            problem = "is not taken where the result is wanted: send with ignore_result=True, or submit over HTTP"
            raise invalid_fields([FieldError("/options/dedupe", problem, "dedupe_not_taken")])
        job_id = self._new_id(DEFAULT_TENANT)
        version = self._version_for(body.model, job_id)
        version.check(body.input)
        job = new_job(
            body,
            job_id=job_id,
            tenant=DEFAULT_TENANT,
            ref=version.ref,
            bounds=version.bounds(self._settings),
            now_ms=self._redis.run(ask_time()),
        )
        mark = task_mark(task_id)
        job = job._replace(idempotency_key=mark, request_hash=fingerprint(raw))
        return self._enqueue(job._replace(webhook_url=mark) if wants_result else job)

    def _enqueue(self, job: NewJob) -> str:
        submitted = self._submit(job)
        if submitted.outcome is SubmitOutcome.MISMATCH:
            raise IdempotencyMismatch("a task of the same id has made a job of other arguments; use a new task id")
        if (refusal := refusal_of(job, submitted)) is not None:
            raise refusal
        # Copies of one that was there before were made when it came.
        if submitted.member == job.member:
            self._shadow(job, submitted.now_ms)
        return submitted.member.partition("/")[2]

    def _submit(self, job: NewJob) -> Submitted:
        op = self._store.submit(job, cap=self._settings.queue_cap, idempotency_ttl_s=self._settings.idempotency_ttl_s)
        try:
            return self._redis.run(op)
        except RedisUnavailable:
            # It may be stored and only its answer be lost. Under the same id that is seen; when the task is tried anew
            # it has another, and would take its own job for that of an earlier delivery.
            log.warning("no answer to the submission of %s; asking again", job.member)
            return self._redis.run(op)

    def _shadow(self, job: NewJob, now_ms: int) -> None:
        """Send copies to the versions that are only watched; they hold nobody up and fail nobody."""
        copies = [
            shadow_of(job, job_id=self._new_id(SHADOW_TENANT), ref=version.ref, now_ms=now_ms)
            for version in self._models[job.ref.name].shadows_of(job.id)
        ]
        if copies:
            try:
                self._redis.run(self._store.submit_many(copies, cap=self._settings.queue_cap, idempotency_ttl_s=1))
            except HeadraceError as error:
                log.warning("%d copies for shadows were not stored: %s", len(copies), error)
            except Exception:
                log.exception("copies for shadows were not stored")

    def _new_id(self, tenant: str) -> str:
        return new_job_id(cell=self._settings.cell, tenant=tenant, key=self._secret())

    def _secret(self) -> bytes:
        if not self._id_key:
            self._redis.run(offer_id_key(self._store.keys))
            self._id_key = self._redis.run(read_id_key(self._store.keys))
        return self._id_key

    # --- what is released

    def _version_for(self, text: str, job_id: str) -> ServedVersion:
        name, at, number = text.partition("@")
        self._look(self._settings.registry_poll_s)
        if name not in self._models or (at and self._models[name].find(number) is None):
            self._look(_LOOK_AGAIN_S)
        if name not in self._models:
            raise unknown_model(name, self._models)
        model = self._models[name]
        version = model.find(number) if at else model.pick(job_id)
        if version is None:
            raise unknown_version(text, model)
        return version

    def _look(self, most_age_s: float) -> None:
        if time.monotonic() - self._looked_at < most_age_s:
            return
        registry = Registry(url=self._settings.registry_location, signers=self._settings.signers)
        self._models, _ = read_served(registry, self._models)
        self._looked_at = time.monotonic()
