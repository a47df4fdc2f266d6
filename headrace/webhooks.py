"""Webhooks as processes agree on them: deliveries, their states, the secrets that sign them."""

import base64
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Self

from headrace.errors import SettingsError
from headrace.jobs import Job, Progress

#: Name of the worker class that delivers; no class in the settings may be called so.
COURIER_CLASS = "courier"

SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix that Standard Webhooks gives to secrets
_SECRET_BYTES = 32
#: How long a secret signs beside the one that replaced it.
ROTATION_S = 24 * 3600


class DeliveryState(StrEnum):
    """Where a delivery is."""

    #: Tried, or to be tried, until it comes to one of the others.
    PENDING = "pending"
    #: The receiver answered 2xx.
    DELIVERED = "delivered"
    #: Given up.
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One event on its way to one receiver. Times are Unix milliseconds; None means not yet."""

    #: Member of the job and number of the event: `tenant/id:1`.
    id: str
    url: str
    state: DeliveryState = DeliveryState.PENDING
    #: Attempts begun.
    attempts: int = 0
    #: What came of the last attempt: `http_500`, `timeout`, …; None before that is known.
    outcome: str | None = None
    attempted_ms: int | None = None
    #: When it is tried next; while an attempt runs, when it counts as lost.
    due_ms: int | None = None

    @property
    def job_id(self) -> str:
        """The job that it tells of."""
        return self.id.partition("/")[2].rpartition(":")[0]

    @classmethod
    def from_record(cls, delivery_id: str, url: str, record: Mapping[str, str], due_ms: int | None) -> Self:
        """Read its hash: s state, a attempts, o outcome, t time of the last attempt, f fence."""
        return cls(
            id=delivery_id,
            url=url,
            state=DeliveryState(record.get("s", DeliveryState.PENDING)),
            attempts=int(record.get("a", 0)),
            outcome=record.get("o"),
            attempted_ms=int(record["t"]) if "t" in record else None,
            due_ms=due_ms,
        )


class Earlier(NamedTuple):
    """What an event before the end says: the record goes on, so it is kept by itself."""

    event: str
    at_ms: int
    #: Of the job, that one included.
    attempts: int
    #: When its pass had begun, and how far it was, if the event is about that.
    started_ms: int = 0
    progress: Progress | None = None


class DueDelivery(NamedTuple):
    """A delivery that a courier has leased, with all that the event says."""

    id: str
    fence: int
    #: Attempts begun, this one included.
    attempts: int
    url: str
    job: Job
    #: Result or error document; None if there is none, or it is too long to go along.
    output: bytes | None
    #: None if the event is the job's end.
    earlier: Earlier | None = None

    @property
    def event(self) -> str:
        """Its type."""
        return self.earlier.event if self.earlier else f"job.{self.job.status}"


def delivery_id_of(member: str, seq: int = 1) -> str:
    """The delivery that tells event number `seq` of a job: its end, if no event came before."""
    return f"{member}:{seq}"


def event_id_of(delivery_id: str) -> str:
    """The `webhook-id`: the same in each attempt, and without the tenant, whose name is nobody else's business."""
    job_id, _, seq = delivery_id.partition("/")[2].rpartition(":")
    return f"{job_id}-{seq}"


def delivery_of(event_id: str, tenant: str) -> str | None:
    """The delivery that a `webhook-id` names; None if it cannot be one."""
    job_id, _, seq = event_id.rpartition("-")
    return f"{tenant}/{job_id}:{seq}" if job_id and seq.isascii() and seq.isdecimal() else None


def new_secret() -> str:
    """A secret as Standard Webhooks writes it: `whsec_` and 32 bytes in base64."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def listening_secret(secret: str) -> str:
    """What signs for whoever only listens: made of a tenant's secret, of which it gives nothing away.

    Raises:
        SettingsError: if that is none.
    """
    return SECRET_PREFIX + base64.b64encode(hmac.digest(key_of(secret), b"headrace webhooks listen", "sha256")).decode()


def key_of(secret: str) -> bytes:
    """The bytes of a secret.

    Raises:
        SettingsError: if it is none.
    """
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except ValueError as error:
        raise SettingsError("a webhook secret is not `whsec_` and base64; make a new one by `--rotate`") from error
