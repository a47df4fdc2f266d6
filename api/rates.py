"""How often each tenant and each key may ask, as one process remembers it, and what callers are told of it."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import redis

from api.callers import Caller
from headrace.errors import RateLimited
from headrace.mux import Mux
from headrace.redis_op import RedisOp
from headrace.tenant_store import Bucket, Rate, Taken, TenantStore

#: How long a rate is believed that was read once.
_KNOWN_FOR_S = 2.0
#: Callers whose rates are remembered.
_MOST_KNOWN = 10_000


class Limit(NamedTuple):
    """One rate that binds a caller: its tenant's, or its key's."""

    #: What `RateLimit` calls it: `tenant` or `key`.
    name: str
    #: What a person calls it.
    whose: str
    bucket: Bucket

    @property
    def rate(self) -> Rate:
        """Its rate."""
        return self.bucket.rate

    @property
    def policy(self) -> str:
        """What `RateLimit-Policy` says of it."""
        window_s = max(1, round(self.rate.burst / self.rate.per_s))
        return f'"{self.name}";q={self.rate.burst};w={window_s}'


class _Known(NamedTuple):
    limits: tuple[Limit, ...]
    until: float


class Counted(NamedTuple):
    """A request that was counted against all limits that bind its caller."""

    limits: Sequence[Limit]
    taken: Sequence[Taken]

    def _tightest(self) -> tuple[Limit, Taken]:
        """The one that leaves least; among those that leave nothing, the one that does so for longest."""
        return min(zip(self.limits, self.taken, strict=True), key=lambda each: (each[1].left, -each[1].next_ms))

    def refusal(self) -> RateLimited | None:
        """Why it must come later, None if it need not."""
        if all(taken.is_allowed for taken in self.taken):
            return None
        limit, taken = self._tightest()
        may = f"may make {limit.rate.per_s:g} requests a second and {limit.rate.burst} at once"
        return RateLimited(f"{limit.whose} {may}; ask later", retry_after_s=taken.next_ms / 1000)

    def headers(self) -> dict[str, str]:
        """`RateLimit-Policy`, and `RateLimit` of the tightest (draft-ietf-httpapi-ratelimit-headers)."""
        limit, taken = self._tightest()
        return {
            "RateLimit-Policy": ", ".join(each.policy for each in self.limits),
            "RateLimit": f'"{limit.name}";r={taken.left};t={-(-taken.next_ms // 1000)}',
        }


class Rates:
    """Counts requests of callers that have a rate; those that have none cost nothing.

    Args:
        mux: how Redis is asked.
        store: where rates are kept.
        default: the rate of tenants for which none was set.
        now: seconds that only rise.
    """

    def __init__(
        self, *, mux: Mux, store: TenantStore, default: Rate, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._mux = mux
        self._store = store
        self._default = default
        self._now = now
        self._known: dict[tuple[str, str], _Known] = {}

    async def of(self, caller: Caller) -> tuple[Limit, ...]:
        """The limits that bind a caller; none if it may ask as often as it likes."""
        who = (caller.tenant, caller.key_id)
        known = self._known.get(who)
        if known is None or self._now() >= known.until:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[who] = _Known(await self._read(*who), self._now() + _KNOWN_FOR_S)
        return known.limits

    async def _read(self, tenant: str, key_id: str) -> tuple[Limit, ...]:
        of_tenant = await self._rate(self._store.rate(tenant)) or self._default
        of_key = await self._rate(self._store.key_rate(key_id)) if key_id else None
        limits = [Limit("tenant", f"the tenant {tenant}", Bucket(tenant, of_tenant))]
        if of_key is not None:
            limits.append(Limit("key", f"the API key {key_id}", Bucket(f"{tenant}:{key_id}", of_key)))
        return tuple(limit for limit in limits if limit.rate.per_s)

    async def _rate(self, op: RedisOp[Rate | None]) -> Rate | None:
        try:
            return await self._mux.run(op)
        except redis.ResponseError:
            # Somebody else's value lies there: no limit is better than an API that stands still.
            return None

    async def count(self, caller: Caller) -> Counted | None:
        """Count one request; None if nothing limits the caller."""
        limits = await self.of(caller)
        if not limits:
            return None
        return Counted(limits, await self._mux.run(self._store.take([limit.bucket for limit in limits])))
