"""DeliveryStore: operations on the outbox, where ends of jobs wait to be told. The scripts that end jobs fill it."""

import logging
from collections.abc import Sequence
from typing import NamedTuple, Protocol, Self

from headrace.errors import InvalidInput
from headrace.jobs import Job, Progress
from headrace.keys import Keys
from headrace.redis_op import Argument, RedisOp, Reply, load_script
from headrace.webhooks import Delivery, DeliveryState, DueDelivery, Earlier, delivery_of, event_id_of, new_secret

log = logging.getLogger("headrace.deliveries")

#: Deliveries of a tenant that are listed.
MOST_LISTED = 10_000


class Box(Protocol):
    """Keeps secrets sealed (see `secret_box`)."""

    def seal(self, secret: str) -> str:
        """Encrypt."""

    def open(self, text: str) -> str:
        """Decrypt."""


class ClaimedDeliveries(NamedTuple):
    """Answer to a courier's claim."""

    due: list[DueDelivery]
    #: Milliseconds until the next one is due; 0 if none waits.
    come_back_ms: int


class Place(NamedTuple):
    """Where a listener is among a tenant's deliveries, which stand by their first attempts."""

    at_ms: int
    #: Of the last one seen; empty if none was.
    delivery_id: str = ""

    def __str__(self) -> str:
        return f"{self.at_ms}.{event_id_of(self.delivery_id) if self.delivery_id else ''}"

    @classmethod
    def parse(cls, text: str, tenant: str) -> Self:
        """Read one: digits, a dot, and the id of an event or nothing.

        Raises:
            ValueError: if it is none.
        """
        at_ms, _, event_id = text.partition(".")
        return cls(int(at_ms), delivery_of(event_id, tenant) or "")


class FollowedDelivery(NamedTuple):
    """An event, and how far its delivery is."""

    due: DueDelivery
    delivery: Delivery


class Followed(NamedTuple):
    """Answer to a listener."""

    place: Place
    deliveries: list[FollowedDelivery]


class Settlement(NamedTuple):
    """What came of one attempt, and what follows from it."""

    delivery_id: str
    fence: int
    state: DeliveryState
    #: In one word; empty if no attempt was made: then none is charged.
    outcome: str
    #: Until the next attempt, if it is still pending.
    delay_ms: int = 0


def given_back(due: DueDelivery, delay_ms: int) -> Settlement:
    """What a courier says of a delivery that it did not attempt."""
    return Settlement(due.id, due.fence, DeliveryState.PENDING, "", delay_ms)


class DeliveryStore:
    """Operations on the deliveries of one cell."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys

    def claim(self, *, limit: int, lease_ms: int, most_output_bytes: int) -> RedisOp[ClaimedDeliveries]:
        """Lease up to `limit` due deliveries, each charged an attempt; a lease that runs out makes it due again."""
        args = (self.keys.prefix, limit, lease_ms, most_output_bytes, MOST_LISTED)
        return RedisOp(_claimed, args, load_script("claim_deliveries"))

    def settle(self, settlements: Sequence[Settlement], *, result_ttl_s: int) -> RedisOp[list[bool]]:
        """Note what came of attempts; False for one whose lease went to another courier."""
        rows: list[Argument] = []
        for settlement in settlements:
            rows += settlement
        args = (self.keys.prefix, result_ttl_s, *rows)
        return RedisOp(lambda reply: [flag == "1" for flag in reply.decode()], args, load_script("settle_deliveries"))

    def replay(self, delivery_ids: Sequence[str], *, result_ttl_s: int) -> RedisOp[list[bool]]:
        """Have deliveries made again, from the first attempt on; False for one of which nothing can be told."""
        args: list[Argument] = [self.keys.prefix, result_ttl_s, *delivery_ids]
        return RedisOp(lambda reply: [flag == "1" for flag in reply.decode()], args, load_script("replay_deliveries"))

    def read(self, delivery_ids: Sequence[str]) -> RedisOp[list[Delivery]]:
        """Those of the deliveries that are still known."""

        def parse(reply: Reply) -> list[Delivery]:
            rows = zip(delivery_ids, reply, strict=True)
            return [_delivery(delivery_id, *row) for delivery_id, row in rows if row[0]]

        return RedisOp(parse, (self.keys.prefix, *delivery_ids), load_script("read_deliveries"))

    def follow(self, tenant: str, after: Place | None, *, limit: int, most_output_bytes: int) -> RedisOp[Followed]:
        """What couriers began to tell after a place, the first first; without one, the place to begin at."""
        place: tuple[Argument, ...] = after or ("", "")
        args = (self.keys.prefix, tenant, *place, limit, most_output_bytes)
        return RedisOp(_followed, args, load_script("follow_deliveries"))

    def listed(self, tenant: str, *, limit: int) -> RedisOp[list[str]]:
        """A tenant's deliveries that were tried at least once, by their first attempt, newest first."""
        return RedisOp(_texts, ("ZREVRANGE", self.keys.deliveries(tenant), 0, limit - 1))

    def untold(self, *, limit: int) -> RedisOp[list[str]]:
        """Deliveries of all tenants that are not settled, the first to be tried first."""
        return RedisOp(_texts, ("ZRANGE", self.keys.outbox, 0, limit - 1))

    def secrets(self, tenant: str, *, keep_old_s: int | None = None, box: Box | None = None) -> RedisOp[list[str]]:
        """The secrets that sign now, the newest first; made if there is none, and kept sealed by `box`.

        With `keep_old_s` a new one is made, and the one before signs along for so long.
        """
        rotate = -1 if keep_old_s is None else keep_old_s
        fresh = new_secret()
        args = (self.keys.prefix, tenant, box.seal(fresh) if box else fresh, rotate)

        def parse(reply: Reply) -> list[str]:
            return [box.open(text) if box else text for text in _texts(reply)]

        return RedisOp(parse, args, load_script("signing"))


def _claimed(reply: Reply) -> ClaimedDeliveries:
    come_back_ms, *rows = reply
    return ClaimedDeliveries([due for row in rows if (due := _due(*row))], come_back_ms)


def _due(
    delivery_id: bytes,
    fence: bytes,
    attempts: int,
    url: bytes,
    record: Reply,
    output: bytes | None,
    *earlier: Reply,
) -> DueDelivery | None:
    """One row; None if the record is broken: its lease runs out, and after enough of them the script drops it."""
    member = delivery_id.decode().rpartition(":")[0]
    try:
        job = Job.from_record(member, _mapping(record))
        before = _earlier(*earlier) if earlier else None
    except (KeyError, ValueError, InvalidInput) as error:
        log.warning("the record of %s cannot be read: %r", member, error)
        return None
    return DueDelivery(delivery_id.decode(), int(fence), attempts, url.decode(), job, output, before)


def _earlier(
    event: bytes,
    at_ms: bytes,
    attempts: bytes,
    started_ms: bytes | None = None,
    fraction: bytes | None = None,
    message: bytes | None = None,
) -> Earlier:
    if started_ms is None or fraction is None:
        return Earlier(event.decode(), int(at_ms), int(attempts))
    progress = Progress(float(fraction), (message or b"").decode(), int(at_ms))
    return Earlier(event.decode(), int(at_ms), int(attempts), int(started_ms), progress)


def _followed(reply: Reply) -> Followed:
    at_ms, delivery_id, *rows = reply
    return Followed(Place(int(at_ms), delivery_id.decode()), [each for row in rows if (each := _followed_row(*row))])


def _followed_row(
    delivery_id: bytes,
    attempts: bytes,
    url: bytes,
    record: Reply,
    output: bytes | None,
    state: bytes,
    outcome: bytes | None,
    *earlier: Reply,
) -> FollowedDelivery | None:
    due = _due(delivery_id, b"0", int(attempts), url, record, output, *earlier)
    if due is None:
        return None
    came_of_it = outcome.decode() if outcome else None
    delivery = Delivery(
        id=due.id, url=due.url, state=DeliveryState(state.decode()), attempts=due.attempts, outcome=came_of_it
    )
    return FollowedDelivery(due, delivery)


def _delivery(delivery_id: str, url: bytes, record: Reply, due: bytes | None) -> Delivery:
    due_ms = None if due is None else int(float(due))
    return Delivery.from_record(delivery_id, url.decode(), _mapping(record), due_ms)


def _mapping(flat: Reply) -> dict[str, str]:
    return {flat[i].decode(): flat[i + 1].decode() for i in range(0, len(flat), 2)}


def _texts(reply: Reply) -> list[str]:
    return [text.decode() for text in reply]
