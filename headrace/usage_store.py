"""UsageStore: reads what the scripts count of each tenant and day, and forgets it."""

from collections.abc import Sequence

from headrace.keys import Keys
from headrace.redis_op import RedisOp, Reply
from headrace.usage import TenantDay, Usage, usage_of


class UsageStore:
    """Operations on the usage of one cell."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys

    def days(self, first: int, last: int) -> RedisOp[list[TenantDay]]:
        """The days from `first` to `last` on which tenants had anything, with those tenants."""
        return RedisOp(_tenant_days, ("ZRANGE", self.keys.usage_days, first, last, "BYSCORE"))

    def older(self, day: int, *, limit: int) -> RedisOp[list[TenantDay]]:
        """Days before that one, the oldest first."""
        return RedisOp(_tenant_days, ("ZRANGE", self.keys.usage_days, "-inf", f"({day}", "BYSCORE", "LIMIT", 0, limit))

    def of(self, whose: TenantDay) -> RedisOp[list[Usage]]:
        """What a tenant had on a day."""

        def parse(reply: Reply) -> list[Usage]:
            texts = [part.decode(errors="replace") for part in reply]
            return usage_of(whose, dict(zip(texts[::2], texts[1::2], strict=True)))

        return RedisOp(parse, ("HGETALL", self.keys.usage(whose.tenant, whose.day)))

    def forget(self, days: Sequence[TenantDay]) -> list[RedisOp[int]]:
        """Delete what was counted on these days, then that there were any: what stops between is done again."""
        counted = [self.keys.usage(tenant, day) for tenant, day in days]
        listed = [f"{tenant}:{day}" for tenant, day in days]
        return [RedisOp(int, ("UNLINK", *counted)), RedisOp(int, ("ZREM", self.keys.usage_days, *listed))]


def _tenant_days(reply: Reply) -> list[TenantDay]:
    found = (TenantDay.parse(member.decode(errors="replace")) for member in reply)
    return [one for one in found if one is not None]
