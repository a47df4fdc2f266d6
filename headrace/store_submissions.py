"""What the store is told of a submission, and answers to it and to a change of a job that waits."""

from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from itertools import count, repeat
from typing import Any, NamedTuple

from headrace.groups import group_of
from headrace.jobs import NewJob, write_causes
from headrace.keys import Keys, dedupe_digest
from headrace.redis_op import Argument, Reply
from headrace.tiers import FLOOR_MS, OFFSET_MS, Tier


class SubmitOutcome(StrEnum):
    """How a submission ended."""

    ACCEPTED = "accepted"
    #: The idempotency key had made a job of the same request before.
    REPLAYED = "replayed"
    #: The idempotency key had made a job of another request.
    MISMATCH = "mismatch"
    #: As many jobs wait as may.
    FULL = "full"
    #: As many of its tenant's jobs wait, over all its queues, as may.
    TENANT_FULL = "tenant_full"
    #: An earlier job with the same dedupe key stands for it.
    DUPLICATE = "duplicate"
    #: The id was chosen for a job before that is no longer kept.
    GONE = "gone"
    #: Others of an all-or-none submission were refused.
    WITHHELD = "withheld"


class Submitted(NamedTuple):
    """Answer to a submission."""

    outcome: SubmitOutcome
    #: `tenant/id` of the new or the earlier job; empty if there is none.
    member: str
    #: Jobs that waited before this one in its tenant's ready set.
    depth: int
    #: Milliseconds on Redis's clock, which all times of a record are from.
    now_ms: int


class Amendment(NamedTuple):
    """What is changed of a job that waits; None leaves it as it is."""

    tier: Tier | None = None
    #: 0 for none.
    deadline_ms: int | None = None
    #: JSON; `{}` for none.
    metadata: bytes | None = None
    #: Told of the end from now on; empty for nobody.
    webhook_url: str | None = None
    #: What it is told, as of `NewJob`.
    webhook_letters: str = ""


class Amended(NamedTuple):
    """Answer to an amendment."""

    #: amended, full, held, changed, or the state in which nothing can be.
    outcome: str
    #: Jobs that wait where it goes.
    depth: int


#: What is said of each job, and of each job of a call in which some have more to say.
_ROW, _NOTES = 3, 3
#: So long is a reply that says once of all jobs that they were accepted into one queue.
_ALL_ACCEPTED = 2
_OUTCOMES = {outcome.encode(): outcome for outcome in SubmitOutcome}


def submission_rows(jobs: Sequence[NewJob], keys: Keys) -> tuple[list[Argument], Sequence[str]]:
    """Jobs as `submit` takes them, and their members: what jobs have in common is said once for each kind of them."""
    kinds: dict[tuple[object, ...], str] = {}
    heads: list[Argument] = []
    rows: list[Any] = []
    notes: list[Argument] = []
    last: list[object] = []
    number = ""
    for place, job in enumerate(jobs):
        job_id, value, *kind, key, request_hash, metadata = job
        # Most jobs are of the kind of the one before, and comparing is cheaper than looking it up.
        if kind != last:
            known, last = len(kinds), kind
            number = kinds.setdefault(tuple(kind), str(known + 1))
            if len(kinds) > known:
                heads += _kind_row(NewJob._make(("", b"", *kind, "", "", b"")))
        rows += (f"{job.tenant}/{job_id}", number, value)
        if notes or key or request_hash or metadata:
            notes = notes or [""] * (_NOTES * place)
            notes += (keys.idempotency(job.tenant, key) if key else "", request_hash, metadata)
    return [len(kinds), len(jobs), *heads, *rows, *notes], rows[::_ROW]


@lru_cache(256)  # most calls are of few kinds
def _kind_row(job: NewJob) -> tuple[Argument, ...]:
    """What `submit` is told of all jobs like this one, once."""
    tier = job.tier
    return (
        *(group_of(job.ref, tier), str(job.ref), str(tier), OFFSET_MS[tier], FLOOR_MS[tier]),
        *(job.max_attempts, job.not_before_ms, job.start_by_ms, job.deadline_ms),
        *(job.webhook_url, job.webhook_letters, job.traceparent),
        dedupe_digest(job.dedupe_key, job.dedupe_scope) if job.dedupe_key else "",
        *(job.dedupe_scope, job.dedupe_s, int(job.is_named)),
        *(f"{job.run_timeout_s:g}" if job.run_timeout_s else "", job.result_ttl_s or "", int(job.is_awaited)),
        *("" if job.retry_on is None else write_causes(job.retry_on), int(not job.is_batchable)),
        "" if job.seed is None else job.seed,
        job.fairness_key,
    )


def read_submitted(members: Sequence[str], reply: Reply) -> list[Submitted]:
    """The reply of `submit`, given the members that it was told of."""
    now_ms = reply[0]
    if len(reply) == _ALL_ACCEPTED:
        answers = zip(repeat(SubmitOutcome.ACCEPTED), members, count(reply[1]), repeat(now_ms))
    else:
        outcomes, known = map(_OUTCOMES.__getitem__, reply[1::3]), map(bytes.decode, reply[2::3])
        answers = zip(outcomes, known, reply[3::3], repeat(now_ms))
    # Of thousands in a request: what `Submitted` does around this costs as much again.
    return [tuple.__new__(Submitted, answer) for answer in answers]


def read_amended(reply: Reply) -> Amended | None:
    """The reply of `amend`."""
    return Amended(reply[0].decode(), reply[1]) if reply else None
