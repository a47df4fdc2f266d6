"""How often each tenant may ask, as one process remembers it, and what callers are told of it."""

import time
from collections.abc import Callable
from typing import NamedTuple

import redis

from headrace.errors import RateLimited
from headrace.mux import Mux
from headrace.tenant_store import Rate, Taken, TenantStore

#: How long a rate is believed that was read once.
_KNOWN_FOR_S = 2.0


class _Known(NamedTuple):
    rate: Rate
    until: float


class Counted(NamedTuple):
    """A request that was counted."""

    tenant: str
    rate: Rate
    taken: Taken

    def refusal(self) -> RateLimited | None:
        """Why it must come later, None if it need not."""
        if self.taken.is_allowed:
            return None
        may = f"may make {self.rate.per_s:g} requests a second and {self.rate.burst} at once"
        return RateLimited(f"the tenant {self.tenant} {may}; ask later", retry_after_s=self.taken.next_ms / 1000)

    def headers(self) -> dict[str, str]:
        """`RateLimit` and `RateLimit-Policy` of the IETF's draft (draft-ietf-httpapi-ratelimit-headers)."""
        window_s = max(1, round(self.rate.burst / self.rate.per_s))
        return {
            "RateLimit-Policy": f'"tenant";q={self.rate.burst};w={window_s}',
            "RateLimit": f'"tenant";r={self.taken.left};t={-(-self.taken.next_ms // 1000)}',
        }


class Rates:
    """Counts requests of tenants that have a rate; those that have none cost nothing.

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
        self._known: dict[str, _Known] = {}

    async def of(self, tenant: str) -> Rate:
        """The rate of a tenant."""
        known = self._known.get(tenant)
        if known is None or self._now() >= known.until:
            try:
                rate = await self._mux.run(self._store.rate(tenant))
            except redis.ResponseError:
                rate = None
            known = self._known[tenant] = _Known(rate or self._default, self._now() + _KNOWN_FOR_S)
        return known.rate

    async def count(self, tenant: str) -> Counted | None:
        """Count one request; None if nothing limits the tenant."""
        rate = await self.of(tenant)
        if not rate.per_s:
            return None
        return Counted(tenant, rate, await self._mux.run(self._store.take(tenant, rate)))
