"""What the store answers to a submission, and to a change of a job that waits."""

from enum import StrEnum
from itertools import repeat
from typing import NamedTuple

from headrace.redis_op import Reply
from headrace.tiers import Tier


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


_OUTCOMES = {outcome.encode(): outcome for outcome in SubmitOutcome}


def read_submitted(reply: Reply) -> list[Submitted]:
    """The reply of `submit`."""
    outcomes, members = map(_OUTCOMES.__getitem__, reply[1::3]), map(bytes.decode, reply[2::3])
    answers = zip(outcomes, members, reply[3::3], repeat(reply[0]), strict=False)
    # Of thousands in a request: what `Submitted` does around this costs as much again.
    return [tuple.__new__(Submitted, answer) for answer in answers]


def read_amended(reply: Reply) -> Amended | None:
    """The reply of `amend`."""
    return Amended(reply[0].decode(), reply[1]) if reply else None
