"""CostStates: what workers have learned of the speed of model versions, shared through Redis.

One small JSON string for each version and worker class, since devices are fast or slow. It is a head start, nothing
more: whatever becomes of it, a model is loaded without, and learns anew.
"""

import logging
from collections.abc import Callable, Collection

from headrace.keys import Keys
from headrace.redis_op import RedisOp, Reply
from workers.wire import Wire

log = logging.getLogger("headrace.costs")

#: A version that nobody ran for so long starts anew.
_TTL_S = 7 * 86_400
#: A load waits at most so long for what others learned.
_PATIENCE_S = 1.0
#: What is longer is not ours.
_MOST_BYTES = 16_384


class CostStates:
    """Never waits: asks in time, and does without what has not come.

    Args:
        worker_class: of this worker; those of others may be faster or slower.
        on_answer: called when a version need not wait any longer.
    """

    def __init__(self, *, wire: Wire, keys: Keys, worker_class: str, on_answer: Callable[[], None]) -> None:
        self._wire = wire
        self._keys = keys
        self._worker_class = worker_class
        self._on_answer = on_answer
        self._known: dict[str, bytes] = {}
        self._asked_at: dict[str, float] = {}

    def __getitem__(self, ref: str) -> bytes:
        """What is known of a version; empty if nothing is."""
        return self._known.get(ref, b"")

    def settled(self, refs: Collection[str], now: float) -> list[str]:
        """Those of the versions that can be loaded with what is known; asks for the others. `now` is monotonic."""
        for ref in refs:
            if ref not in self._asked_at:
                self._asked_at[ref] = now
                self._ask(ref)
        return [ref for ref in refs if ref in self._known or now - self._asked_at[ref] > _PATIENCE_S]

    def _ask(self, ref: str) -> None:
        if not self._wire.is_open:
            return
        op = RedisOp(_as_is, ("GET", self._keys.costs(ref, self._worker_class)))
        self._wire.send(op, lambda state: self._answered(ref, state or b""), lambda error: self._failed(ref, error))

    def _answered(self, ref: str, state: bytes) -> None:
        self._known.setdefault(ref, state if len(state) <= _MOST_BYTES else b"")
        self._on_answer()

    def _failed(self, ref: str, error: Exception) -> None:
        log.warning("what others learned of %s cannot be read: %s", ref, error)
        self._answered(ref, b"")

    def learned(self, ref: str, state: bytes) -> None:
        """This worker knows better: keep it, also for others."""
        self._known[ref] = state
        if self._wire.is_open:
            key = self._keys.costs(ref, self._worker_class)
            self._wire.send(RedisOp(_as_is, ("SET", key, state, "EX", _TTL_S)), lambda _: None, self._not_kept)

    def _not_kept(self, error: Exception) -> None:
        log.warning("what was learned is not kept for others: %s", error)


def _as_is(reply: Reply) -> Reply:
    return reply
