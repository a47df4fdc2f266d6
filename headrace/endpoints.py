"""Registered receivers of webhooks: each with a URL, events, a secret of its own, and how it has been lately. Pure."""

import secrets
from collections.abc import Set as AbstractSet
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from headrace.webhook_url import MAX_URL_LENGTH
from headrace.webhooks import ROTATION_S

#: Every id of an endpoint begins so, and no URL does.
ENDPOINT_PREFIX = "ep_"
#: Stands in place of a URL where a job names an endpoint.
MARK = "endpoint:"
#: A receiver that failed for so long, and never answered well in between, is told nothing more.
FAILING_S = 3 * 86_400
MOST_ENDPOINTS = 100

_GONE = 410


class Event(StrEnum):
    """What can be told."""

    STARTED = "job.started"
    PROGRESS = "job.progress"
    SUCCEEDED = "job.succeeded"
    FAILED = "job.failed"
    CANCELED = "job.canceled"
    EXPIRED = "job.expired"


#: What is told where nobody says otherwise.
ENDS = frozenset({Event.SUCCEEDED, Event.FAILED, Event.CANCELED, Event.EXPIRED})
#: How a record notes it. The scripts look for those of events before the end.
_LETTERS = {
    Event.STARTED: "s",
    Event.PROGRESS: "p",
    Event.SUCCEEDED: "S",
    Event.FAILED: "F",
    Event.CANCELED: "C",
    Event.EXPIRED: "X",
}


def letters_of(events: AbstractSet[Event]) -> str:
    """What a record says of a subscription; nothing if it is the usual one."""
    return "" if events == ENDS else "".join(sorted(_LETTERS[event] for event in events))


def events_of(letters: str) -> AbstractSet[Event]:
    """The subscription that a record notes."""
    return {event for event, letter in _LETTERS.items() if letter in letters} if letters else ENDS


class Include(StrEnum):
    """How a result goes along."""

    #: In the event, if it is not long.
    INLINE = "inline"
    #: To be fetched by `links.result`.
    LINK = "link"


class Stop(StrEnum):
    """Why an endpoint is told nothing."""

    #: Somebody said so.
    DISABLED = "disabled"
    #: It answered 410.
    GONE = "gone"
    #: It failed for days.
    PAUSED = "paused"


class EndpointRequest(BaseModel):
    """A receiver to be registered."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[str, Field(min_length=1, max_length=MAX_URL_LENGTH, description="As a job's own webhook URL.")]
    events: Annotated[frozenset[Event], Field(min_length=1, description="What it is told.")] = ENDS
    include: Include = Field(Include.INLINE, description="Results in the event, or only where they are.")
    description: str = Field("", max_length=200)


class EndpointChange(BaseModel):
    """What is to be different; what it does not name stays."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[str, Field(min_length=1, max_length=MAX_URL_LENGTH)] | None = None
    events: Annotated[frozenset[Event], Field(min_length=1)] | None = None
    include: Include | None = None
    description: str | None = Field(None, max_length=200)
    enabled: bool | None = Field(None, description="False stops it; true starts it again, whatever stopped it.")


class Endpoint(BaseModel):
    """A registered receiver as it is kept. Secrets are sealed; times are Unix milliseconds."""

    model_config = ConfigDict(frozen=True)

    id: str
    url: str
    events: frozenset[Event]
    include: Include
    description: str = ""
    secret: str
    #: Signs along until `old_until_ms`.
    old_secret: str = ""
    old_until_ms: int = 0
    created_ms: int

    def changed(self, change: EndpointChange) -> Self:
        """With what a change names."""
        named = change.model_dump(exclude_none=True, exclude={"enabled"})
        return self.model_copy(update=named)

    def rotated(self, sealed: str, now_ms: int) -> Self:
        """With a new secret; the one before signs along for a day."""
        update = {"secret": sealed, "old_secret": self.secret, "old_until_ms": now_ms + 1000 * ROTATION_S}
        return self.model_copy(update=update)

    def signing(self, now_ms: int) -> list[str]:
        """The sealed secrets that sign now, the newest first."""
        return [self.secret, *([self.old_secret] if self.old_until_ms > now_ms else [])]


class Health(BaseModel):
    """How an endpoint has been lately; kept apart from what its owner says, since couriers write it."""

    model_config = ConfigDict(frozen=True)

    #: 0 if its last answer was good.
    failing_since_ms: int = 0
    stopped: Stop | None = None

    def after(self, status: int, now_ms: int) -> "Health":
        """After an attempt that was answered with `status`, 0 if it was not."""
        if 200 <= status < 300:
            return Health()
        if status == _GONE:
            return Health(failing_since_ms=self.failing_since_ms or now_ms, stopped=Stop.GONE)
        since_ms = self.failing_since_ms or now_ms
        stopped = Stop.PAUSED if now_ms - since_ms >= 1000 * FAILING_S else None
        return Health(failing_since_ms=since_ms, stopped=stopped)


def new_endpoint_id() -> str:
    """An id that nobody guesses."""
    return f"{ENDPOINT_PREFIX}{secrets.token_hex(10)}"


def named_endpoint(url: str) -> str | None:
    """The endpoint that stands in place of a URL; None if it is a URL."""
    return url.removeprefix(MARK) if url.startswith(MARK) else None
