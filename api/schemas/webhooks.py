"""Receivers, and what they were told."""

from pydantic import AwareDatetime, Field

from api.schemas.jobs import JobWebhook, SelfLink
from api.schemas.shape import Shape
from headrace.endpoints import Event, Include, Stop
from headrace.webhooks import DeliveryState


class DeliveredJob(Shape):
    """The job whose end is told."""

    id: str
    links: SelfLink


class WebhookDelivery(JobWebhook):
    """An event on its way to a receiver."""

    id: str = Field(description="The `webhook-id` of all its attempts.")
    job: DeliveredJob


class DeliveryList(Shape):
    """Deliveries, newest first."""

    deliveries: list[WebhookDelivery]


class ListenedEvent(Shape):
    """An event as its receiver gets it, and how far its delivery was then."""

    id: str = Field(description="Its `webhook-id`.")
    type: str
    url: str
    status: DeliveryState
    attempts: int
    outcome: str | None
    headers: dict[str, str] = Field(description="Of an attempt; one of the signatures is by the listener's secret.")
    body: str


class ListenedEvents(Shape):
    """Events that couriers began to tell."""

    cursor: str = Field(description="`after` of the next request.")
    secret: str = Field(description="Signs for listeners, beside the secrets that sign for receivers.")
    events: list[ListenedEvent]


class EndpointRecord(Shape):
    """A registered receiver of webhooks."""

    id: str
    url: str
    events: list[Event]
    include: Include
    description: str
    enabled: bool
    stopped: Stop | None = Field(description="Why it is told nothing; null while it is.")
    failing_since: AwareDatetime | None = Field(description="Null if its last answer was good.")
    created: AwareDatetime


class NewEndpointRecord(EndpointRecord):
    """One with a new secret."""

    secret: str = Field(description="Signs what it is told; never shown again.")


class EndpointList(Shape):
    """All registered receivers, the oldest first."""

    endpoints: list[EndpointRecord]


class TestedEndpoint(Shape):
    """What came of a test."""

    id: str = Field(description="The `webhook-id` of the event.")
    delivered: bool = Field(description="True if the receiver answered 2xx.")
    outcome: str = Field(description="As of a delivery; `no_courier` if nobody took it, `no_answer` if nobody said.")


class ReplayedList(Shape):
    """What is told again."""

    replayed: list[str] = Field(description="Their `webhook-id`s.")
