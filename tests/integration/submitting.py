"""Submitting words to a model, for tests without an API."""

from collections.abc import Sequence
from typing import Any

from headrace.ids import new_job_id
from headrace.jobs import NewJob
from headrace.model_ref import ModelRef
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from headrace.tiers import Tier


def submit_words(
    redis: SyncRedis, store: JobStore, ref: ModelRef, words: Sequence[str], *, max_attempts: int = 3, **fields: Any
) -> list[str]:
    """Submit one job a word in one round trip; answers the members."""
    inputs = [f'"{word}"'.encode() for word in words]
    return submit_inputs(redis, store, ref, inputs, max_attempts=max_attempts, **fields)


def submit_inputs(
    redis: SyncRedis, store: JobStore, ref: ModelRef, inputs: Sequence[bytes], **fields: Any
) -> list[str]:
    """Submit one job an input, which is JSON, in one round trip; answers the members."""
    jobs = [
        NewJob(
            id=new_job_id(cell=store.keys.cell, tenant="default", key=b"k"),
            tenant="default",
            ref=ref,
            tier=Tier.STANDARD,
            input=raw,
            **fields,
        )
        for raw in inputs
    ]
    redis.run_all([store.submit(job, cap=1000) for job in jobs])
    return [job.member for job in jobs]
