"""A job: its states, the moves between them, and the record that Redis keeps of it.

The record is the truth; whatever a process remembers is a view. It is a hash small enough to stay a listpack (every
value at most 64 bytes), with the input and the result in keys of their own. `FIELDS` names what its one-letter fields
mean.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple, Self

from headrace.dedupe import REMEMBERED_S, Scope
from headrace.model_ref import ModelRef
from headrace.tiers import Tier
from headrace.timestamps import rfc3339

#: Version of the record's layout, kept in each record.
SCHEMA_VERSION = 1

#: No value of a record may be longer, or the hash would leave its compact form.
MAX_VALUE_BYTES = 64


class JobStatus(StrEnum):
    """The public states. Anything finer is a `Reason`, so that a client's switch never grows."""

    #: Accepted, waiting for a worker; also while a worker holds it but has not begun its forward pass.
    QUEUED = "queued"
    #: In a forward pass.
    RUNNING = "running"
    #: Its cancellation was asked for while it ran; ends as canceled when the pass ends.
    CANCELING = "canceling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    #: Its deadline passed before a result was there.
    EXPIRED = "expired"

    @property
    def is_terminal(self) -> bool:
        """True once the state can never change again."""
        return self in _TERMINAL


_TERMINAL = frozenset({JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELED, JobStatus.EXPIRED})

#: The only moves there are. Each is made by one Lua script, compared and set on state and fence.
TRANSITIONS: Mapping[JobStatus, frozenset[JobStatus]] = MappingProxyType(
    {
        JobStatus.QUEUED: frozenset({JobStatus.RUNNING}) | _TERMINAL,
        JobStatus.RUNNING: frozenset({JobStatus.QUEUED, JobStatus.CANCELING}) | _TERMINAL - {JobStatus.CANCELED},
        JobStatus.CANCELING: frozenset({JobStatus.CANCELED}),
        JobStatus.SUCCEEDED: frozenset(),
        JobStatus.FAILED: frozenset(),
        JobStatus.CANCELED: frozenset(),
        JobStatus.EXPIRED: frozenset(),
    }
)


#: By their words: records are read too often to have the classes look each up.
_STATES = {status.value: status for status in JobStatus}
_TIERS = {tier.value: tier for tier in Tier}


class Reason(StrEnum):
    """Why a job is where it is."""

    WAITING_TURN = "waiting_turn"
    BATCH_FORMING = "batch_forming"
    WORKER_STARTING = "worker_starting"
    MODEL_LOADING = "model_loading"
    NO_COMPATIBLE_WORKER = "no_compatible_worker"
    #: As many of its tenant's jobs are with workers as may be.
    TENANT_LIMIT = "tenant_limit"
    SCHEDULED = "scheduled"
    RETRY_BACKOFF = "retry_backoff"
    WORKER_LOST = "worker_lost"
    PREEMPTED = "preempted"
    #: It ran out of memory, alone, on a smaller worker than it now waits for.
    NEEDS_LARGER_WORKER = "needs_larger_worker"
    #: An operator paused its queue, or told every worker that could run it to leave that alone.
    QUEUE_PAUSED = "queue_paused"


class Cause(StrEnum):
    """Why a job failed."""

    #: The model refused this input.
    INPUT = "input"
    #: The model's code raised, or returned something that is no result.
    MODEL = "model"
    #: The model ran out of memory on this input alone.
    OOM = "oom"
    #: The forward pass took longer than allowed.
    TIMEOUT = "timeout"
    #: It ran longer than was asked for it.
    RUN_TIMEOUT = "run_timeout"
    #: Its workers died while running it, as often as attempts were allowed.
    WORKER_LOST = "worker_lost"
    DEADLINE = "deadline"
    INTERNAL = "internal"


#: Causes for which an attempt may be repeated: nobody's last word, so not the input's fault, and not said by the model.
REPEATABLE = (Cause.WORKER_LOST, Cause.OOM, Cause.TIMEOUT, Cause.INTERNAL)


def write_causes(causes: Iterable[Cause]) -> str:
    """Causes as a record has them: each between commas, so that a script finds one by its word."""
    return "".join([",", *(f"{cause}," for cause in causes)])


def read_causes(text: str) -> tuple[Cause, ...]:
    """What a record says that an attempt may be repeated for."""
    return tuple(cause for cause in REPEATABLE if f",{cause}," in text)


#: The largest seed: up to it, each whole number is the same to every reader of JSON (RFC 8259, section 6).
MAX_SEED = 2**53 - 1

#: Meaning of the record's fields.
FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "v": "layout version",
        "s": "state",
        "f": "fence: changes whenever the job changes hands; a write with another fence is refused; "
        "00 until it is claimed if it has none of o, d, y, h, p, L, T, R, S and D",
        "a": "attempts charged: forward passes begun",
        "n": "attempts allowed",
        "m": "model@version",
        "t": "tier",
        "z": "score in the ready set, kept so that a job that comes back takes its old place",
        "q": "ms, accepted",
        "o": "ms, ready from then on, if that is later than accepted",
        "l": "ms, claimed by the worker that holds it",
        "b": "ms, forward pass begun",
        "e": "ms, ended",
        "w": "worker that holds or ran it",
        "r": "reason, when it is not simply waiting its turn",
        "c": "cause of failure",
        "d": "ms, deadline for the result",
        "y": "ms, must have begun by",
        "g": "size of the batch it ran in",
        "h": "number of the next event that a webhook is told, and letters of what else than its end",
        "E": "number of its next event, while nobody is told of it after somebody was to be",
        "p": "traceparent of the request that made it",
        "k": "workers that were lost while they held it",
        "x": "1 if its submitter noted something beside it",
        "u": "digest of its dedupe key",
        "i": "fingerprint of its request, if its submitter chose the id",
        "j": "virtual ms that its tenant was charged when it was claimed; "
        "with a + if it had none of o, d, y, h, T, B and C then",
        "B": "bytes of memory that it has outgrown: only workers with more claim it",
        "M": "ms of its worker's time that its last pass took for it",
        "C": "1 if how far its pass was is kept for the next worker",
        "H": "ms, moved to another tier since its deadline was at risk on machines that may be taken away",
        "L": "s that its forward pass may take, if that was bounded for it",
        "T": "s that it is kept after its end, if that was asked for",
        "R": "causes for which its attempts may be repeated, each between commas, if that was said",
        "S": "1 if no other job may be in its forward pass",
        "F": "its fairness key, if one was given",
        "D": "seed that its model draws random numbers from, if it brought one",
        "P": "how far its pass is, as its model says: a fraction of 1",
        "A": "ms, said how far",
        "N": "what its model said with it",
        "W": "1 if its submitter waits for its end",
    }
)


class Lease(NamedTuple):
    """The right to work on a job: `member` is `tenant/id`."""

    member: str
    fence: int

    def __str__(self) -> str:
        return f"{self.member}#{self.fence}"


class Progress(NamedTuple):
    """How far a pass is, as its model says."""

    #: From 0 to 1; within an attempt it never goes back.
    fraction: float
    #: At most `MAX_VALUE_BYTES`; may be empty.
    message: str
    #: When that was said, Unix milliseconds.
    at_ms: int

    @property
    def document(self) -> dict[str, Any]:
        """What callers and receivers of webhooks are shown."""
        return {"fraction": self.fraction, "message": self.message, "at": rfc3339(self.at_ms)}


class NewJob(NamedTuple):
    """What `submit` stores. Times are Unix milliseconds; 0 means none."""

    id: str
    input: bytes
    tenant: str
    ref: ModelRef
    tier: Tier
    max_attempts: int = 3
    not_before_ms: int = 0
    start_by_ms: int = 0
    deadline_ms: int = 0
    #: Told of the end; empty if nobody is.
    webhook_url: str = ""
    #: What it is told, see `endpoints.letters_of`; empty for each end and nothing else.
    webhook_letters: str = ""
    #: W3C Trace Context of the request, valid; empty if it had none.
    traceparent: str = ""
    #: What makes it the same as an earlier job; empty if nothing does.
    dedupe_key: str = ""
    #: Which earlier job stands for it, and how long its own key is remembered.
    dedupe_scope: Scope = Scope.ACTIVE
    dedupe_s: int = REMEMBERED_S
    #: The submitter chose the id, so another request under it is a mismatch.
    is_named: bool = False
    #: Seconds that its forward pass may take; None for as long as any pass.
    run_timeout_s: float | None = None
    #: Seconds that record and result are kept after its end; None for as long as others.
    result_ttl_s: int | None = None
    #: Causes for which an attempt may be repeated; None for all that others' are.
    retry_on: tuple[Cause, ...] | None = None
    #: Other jobs may be in its forward pass.
    is_batchable: bool = True
    #: What its model draws random numbers from, 0 to `MAX_SEED`; None for whatever it draws.
    seed: int | None = None
    #: Whose it is among the jobs of its tenant, who take turns; empty if nobody was named.
    fairness_key: str = ""
    #: The submitter waits for its end, which is then told with the event.
    is_awaited: bool = False
    idempotency_key: str = ""
    #: Fingerprint of the request, compared when an idempotency key comes again.
    request_hash: str = ""
    #: What the submitter noted beside it, JSON; empty if nothing.
    metadata: bytes = b""

    @property
    def member(self) -> str:
        """How sets and leases name this job."""
        return f"{self.tenant}/{self.id}"


class Job(NamedTuple):
    """A record as read back. Times are Unix milliseconds; None means not yet or not set."""

    id: str
    tenant: str
    ref: ModelRef
    tier: Tier
    status: JobStatus
    fence: int
    attempts: int
    max_attempts: int
    score: float
    created_ms: int
    claimed_ms: int | None = None
    started_ms: int | None = None
    ended_ms: int | None = None
    worker: str | None = None
    reason: str | None = None
    cause: str | None = None
    deadline_ms: int | None = None
    start_by_ms: int | None = None
    batch_size: int | None = None
    has_webhook: bool = False
    #: Number of its next event; once it has ended, of its end.
    next_seq: int = 1
    #: As of `NewJob`.
    webhook_letters: str = ""
    traceparent: str | None = None
    has_metadata: bool = False
    #: Ready from then on, if that is later than created.
    ready_ms: int | None = None
    #: Workers that were lost while they held it.
    rescues: int = 0
    #: Of its worker's time that its last pass took for it.
    spent_ms: float | None = None
    #: Moved from the spot tier, since its deadline was at risk there.
    hastened_ms: int | None = None
    #: Seconds that its forward pass may take, if that was bounded for it.
    run_timeout_s: float | None = None
    #: Seconds that record and result are kept after its end, if that was asked for.
    result_ttl_s: int | None = None
    #: As of `NewJob`.
    retry_on: tuple[Cause, ...] | None = None
    is_batchable: bool = True
    seed: int | None = None
    fairness_key: str = ""
    #: Memory of a worker that it has outgrown, so that only larger ones claim it; 0 for most.
    outgrown_bytes: int = 0
    #: Of its last attempt; None if its model said nothing, or it waits.
    progress: Progress | None = None

    @property
    def member(self) -> str:
        """How sets and leases name this job."""
        return f"{self.tenant}/{self.id}"

    @classmethod
    def from_record(cls, member: str, record: Mapping[str, str]) -> Self:
        """Read the hash of `FIELDS`.

        Raises:
            KeyError, ValueError: if the record is damaged, or of a layout that came later.
        """
        if int(record.get("v") or 1) > SCHEMA_VERSION:
            raise ValueError(f"{member} has layout {record['v']}; this process knows {SCHEMA_VERSION}: upgrade it")
        tenant, _, job_id = member.partition("/")
        # Looked at in place: a function for each of these fields takes longer than all else here.
        get = record.get
        hook, claimed_ms = get("h") or "", int(text) if (text := get("l")) else None
        letters = hook.lstrip("0123456789")
        return cls(
            id=job_id,
            tenant=tenant,
            ref=ModelRef.parse(record["m"]),
            tier=_TIERS[record["t"]],
            status=_STATES[record["s"]],
            fence=int(record["f"]),
            attempts=int(record["a"]),
            max_attempts=int(record["n"]),
            score=float(record["z"]),
            created_ms=int(record["q"]),
            claimed_ms=claimed_ms,
            started_ms=_begun_ms(int(text) if (text := get("b")) else None, claimed_ms),
            ended_ms=int(text) if (text := get("e")) else None,
            worker=get("w") or None,
            reason=get("r") or None,
            cause=get("c") or None,
            deadline_ms=int(text) if (text := get("d")) else None,
            start_by_ms=int(text) if (text := get("y")) else None,
            batch_size=int(text) if (text := get("g")) else None,
            has_webhook=bool(hook),
            next_seq=int(hook[: len(hook) - len(letters)] or 1),
            webhook_letters=letters,
            traceparent=get("p"),
            has_metadata=bool(get("x")),
            ready_ms=int(text) if (text := get("o")) else None,
            rescues=int(get("k") or 0),
            spent_ms=float(text) if (text := get("M")) else None,
            hastened_ms=int(text) if (text := get("H")) else None,
            run_timeout_s=float(text) if (text := get("L")) else None,
            result_ttl_s=int(text) if (text := get("T")) else None,
            retry_on=read_causes(text) if (text := get("R")) else None,
            is_batchable=not get("S"),
            seed=int(text) if (text := get("D")) else None,
            fairness_key=get("F") or "",
            outgrown_bytes=int(get("B") or 0),
            progress=_progress(record) if get("A") else None,
        )


def _begun_ms(begun_ms: int | None, claimed_ms: int | None) -> int | None:
    """When its last pass began. A short one is reckoned back from its end: rounding may put that before its claim."""
    return claimed_ms if claimed_ms is not None and begun_ms == claimed_ms - 1 else begun_ms


def _progress(record: Mapping[str, str]) -> Progress | None:
    """What the model said in the last attempt; what it said before says nothing of how the job is now."""
    said_ms, begun_ms = int(record.get("A") or 0), int(record.get("b") or 0)
    if not said_ms or said_ms < begun_ms or record["s"] == JobStatus.QUEUED:
        return None
    return Progress(float(record["P"]), record.get("N", ""), said_ms)
