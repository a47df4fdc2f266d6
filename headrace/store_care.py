"""What the scheduler has the store do for jobs that nobody holds, and what it answers."""

from typing import NamedTuple

from headrace.redis_op import Reply
from headrace.tiers import Tier


class Reaped(NamedTuple):
    """Answer to a reaping."""

    requeued: int
    dead: int


class Hastening(NamedTuple):
    """When jobs of a group are moved, and to which tier; times in ms."""

    group: str
    tier: Tier
    #: Jobs that wait in the group.
    waiting: int
    #: How much longer a job waits for each that is before it.
    each_ms: float
    #: What it needs besides to end where it goes.
    needs_ms: float
    #: With less it ends late also there.
    least_ms: float

    @property
    def horizon_ms(self) -> float:
        """No job is at risk whose deadline is further away."""
        return self.waiting * self.each_ms + self.needs_ms


class Hastened(NamedTuple):
    """Answer to a look at deadlines that are near."""

    moved: int
    #: Where to go on; 0 when all were looked at.
    cursor: int


class Swept(NamedTuple):
    """Answer to a sweep of part of a tenant's index."""

    #: Where to go on; 0 when the end was reached.
    cursor: int
    #: Entries removed because their records are gone.
    forgotten: int
    #: Jobs found in no set and put back, and finished records given their time to live.
    mended: int


class Forgotten(NamedTuple):
    """Answer to `forget`."""

    #: Where to go on; 0 when the end was reached.
    cursor: int
    forgotten: int


def read_reaped(reply: Reply) -> Reaped:
    """The reply of `reap`."""
    return Reaped(*reply)


def read_swept(reply: Reply) -> Swept:
    """The reply of `sweep`."""
    return Swept(*reply)
