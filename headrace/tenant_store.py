"""TenantStore: what operators have set for tenants. A tenant of which nothing is set shares alike."""

from collections.abc import Mapping

from headrace.keys import Keys
from headrace.redis_op import RedisOp, Reply

#: Beyond these the scripts take a weight for none.
LEAST_WEIGHT, MOST_WEIGHT = 0.001, 1000.0


class TenantStore:
    """Operations on the tenants of one cell."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys

    def set_weight(self, tenant: str, weight: float) -> RedisOp[int]:
        """Give a tenant a share of this weight, from the next claim on; others weigh 1."""
        return RedisOp(int, ("HSET", self.keys.weights, tenant, repr(weight)))

    def weights(self) -> RedisOp[Mapping[str, float]]:
        """The weights that were set."""

        def parse(reply: Reply) -> Mapping[str, float]:
            pairs = zip(reply[::2], reply[1::2], strict=True)
            return {tenant.decode(): float(weight) for tenant, weight in pairs}

        return RedisOp(parse, ("HGETALL", self.keys.weights))

    def names(self) -> RedisOp[list[str]]:
        """Every tenant that ever submitted."""
        return RedisOp(lambda reply: sorted(name.decode() for name in reply), ("SMEMBERS", self.keys.tenants))
