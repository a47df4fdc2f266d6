"""HomeLook: asks Redis what this worker's class leaves to another class, which does it for less money.

Only where there is more than one class. While nobody says it, or it cannot be read, everything is its own.
"""

import logging
from collections.abc import Callable

from headrace.homes import FREE, Manners, read_manners
from headrace.keys import Keys
from headrace.redis_op import RedisOp
from workers.wire import Wire

log = logging.getLogger("headrace.homes")


class HomeLook:
    """Never waits: what it learns counts when the answer comes.

    Args:
        worker_class: the name of this worker's.
        is_alone: True if there is no other.
        on_change: called when something else was said than before.
    """

    def __init__(
        self, *, wire: Wire, keys: Keys, worker_class: str, is_alone: bool, on_change: Callable[[], None]
    ) -> None:
        self._wire = wire
        self._keys = keys
        self._worker_class = worker_class
        self._is_alone = is_alone
        self._on_change = on_change
        #: What was said last.
        self.manners = FREE

    def look(self) -> None:
        """Ask."""
        if self._is_alone or not self._wire.is_open:
            return
        op = RedisOp(lambda raw: read_manners(raw, self._worker_class), ("GET", self._keys.homes))
        self._wire.send(op, self._hear, self._failed)

    def _hear(self, manners: Manners) -> None:
        if manners != self.manners:
            self.manners = manners
            self._on_change()

    def _failed(self, error: Exception) -> None:
        # Somebody wrote something else there.
        log.warning("what is left to other classes cannot be seen: %s", error)
        self._hear(FREE)
