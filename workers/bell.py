"""Bell: how an idle worker waits. One blocking read on the bells of all its groups, on a connection of its own."""

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

from headrace.keys import Keys
from headrace.redis_op import RedisOp, Reply
from workers.wire import Wire

log = logging.getLogger("headrace.bell")

T = TypeVar("T")

#: A bell that was missed costs at most this, and a peer that fell silent is noticed so much later.
LONGEST_WAIT_MS = 2_000


class Bell:
    """Parks the worker until something may have become claimable.

    Reading from the last entry it saw, it can neither miss a ring between a claim and the wait, nor wake twice for
    one ring.

    Args:
        on_ring: called after a ring or the longest wait.
    """

    def __init__(self, *, wire: Wire, keys: Keys, worker: str, on_ring: Callable[[], None]) -> None:
        self._wire = wire
        self._keys = keys
        self._wake = keys.wake(worker)
        self._on_ring = on_ring
        self._seen: dict[str, str] = {}
        self.is_parked = False
        #: True while something that was sent behind the wait has no answer.
        self.is_followed = False
        #: False after a wait that the server refused: what follows such a wait would be carried out at once.
        self._is_sound = True

    @property
    def may_be_followed(self) -> bool:
        """Tell whether `follow` is in place."""
        return self.is_parked and self._is_sound and not self.is_followed

    def park(self, groups: Sequence[str], *, come_back_ms: int) -> None:
        """Wait at the bells of these groups, or until `come_back_ms` if that is not 0."""
        if self.is_parked or not self._wire.is_open:
            return
        self.is_parked = True
        wait_ms = min(LONGEST_WAIT_MS, come_back_ms) if come_back_ms else LONGEST_WAIT_MS
        streams = [*(self._keys.bell(group) for group in groups), self._wake]
        last_seen = [self._seen.get(stream, "0") for stream in streams]
        op = RedisOp(self._note, ("XREAD", "COUNT", 1, "BLOCK", wait_ms, "STREAMS", *streams, *last_seen))
        self._wire.send(op, self._rung, self._failed)

    def follow(self, op: RedisOp[T], callback: Callable[[T], None], on_error: Callable[[Exception], None]) -> None:
        """Have the server carry something out the moment the wait ends, before anything of it is known here."""
        self.is_followed = True

        def answered(answer: T) -> None:
            self.is_followed = False
            callback(answer)

        def failed(error: Exception) -> None:
            self.is_followed = False
            on_error(error)

        self._wire.send(op, answered, failed)

    def _note(self, reply: Reply) -> None:
        if not reply:
            # A bell that was made anew begins with lower entries than the one before had.
            self._seen.clear()
        for stream, entries in reply or ():
            self._seen[stream.decode()] = entries[-1][0].decode()

    def _rung(self, _: None) -> None:
        self.is_parked, self._is_sound = False, True
        if not self.is_followed:
            # Else what lay ready answers next.
            self._on_ring()

    def _failed(self, error: Exception) -> None:
        # Somebody wrote something else at a bell's key. The tick looks again.
        log.error("the bell cannot be read: %s", error)
        self.is_parked = self._is_sound = False

    def lost(self) -> None:
        """The connection is gone, and the wait with it; of what followed it, leases will run out."""
        self.is_parked = self.is_followed = False

    def wake_op(self) -> RedisOp[None]:
        """The operation, for another connection, that ends the wait of this worker alone."""
        return RedisOp(lambda _: None, ("XADD", self._wake, "MAXLEN", 1, "*", "r", 1))

    def forget_op(self) -> RedisOp[None]:
        """The operation that removes what `wake_op` left behind."""
        return RedisOp(lambda _: None, ("DEL", self._wake))
