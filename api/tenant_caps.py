"""How many jobs tenants may have at once, as one process remembers it, and whether that is why a job waits."""

import time
from collections.abc import Callable, Mapping

from headrace.mux import Mux
from headrace.tenant_store import Caps, TenantStore, caps_of

#: How long what was read once is believed.
_KNOWN_FOR_S = 2.0


class TenantCaps:
    """Of all tenants.

    Args:
        mux: how Redis is asked.
        store: where caps are kept.
        now: seconds that only rise.
    """

    def __init__(self, *, mux: Mux, store: TenantStore, now: Callable[[], float] = time.monotonic) -> None:
        self._run = mux.run
        self._store = store
        self._now = now
        self._set: Mapping[str, Caps] = {}
        #: Of those that were asked for since they were read.
        self._known: dict[str, Caps] = {}
        self._until = float("-inf")

    async def of(self, tenant: str) -> Caps:
        """What holds for a tenant."""
        if self._now() >= self._until:
            self._set, self._known = await self._run(self._store.caps()), {}
            self._until = self._now() + _KNOWN_FOR_S
        if tenant not in self._known:
            self._known[tenant] = caps_of(tenant, self._set)
        return self._known[tenant]

    async def reached(self, tenant: str) -> int | None:
        """How many of its jobs workers may hold, if they hold as many; None while they may hold more."""
        most = (await self.of(tenant)).running_jobs
        if most is None or await self._run(self._store.held(tenant)) < most:
            return None
        return most
