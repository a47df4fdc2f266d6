"""UsageWindow: what tenants had is kept for so many days."""

import logging

from headrace.server_clock import ask_time
from headrace.sync_redis import SyncRedis
from headrace.usage import DAY_MS
from headrace.usage_store import UsageStore

log = logging.getLogger("headrace.scheduler")

#: Days of tenants that one step forgets.
_STEP = 500


class UsageWindow:
    """Forgets the usage of days that are past.

    Args:
        usage: operations of the cell.
        connection: carries them out.
        kept_days: how many days are kept besides the present one.
    """

    def __init__(self, *, usage: UsageStore, connection: SyncRedis, kept_days: int) -> None:
        self._usage = usage
        self._connection = connection
        self._kept_days = kept_days

    def step(self) -> int:
        """Forget what is too old; answers how many days of tenants."""
        first = self._connection.run(ask_time()) // DAY_MS - self._kept_days
        old = self._connection.run(self._usage.older(first, limit=_STEP))
        if old:
            self._connection.run_all(self._usage.forget(old))
            log.info("forgot the usage of %d days of tenants", len(old))
        return len(old)
