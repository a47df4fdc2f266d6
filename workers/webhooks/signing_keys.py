"""SigningKeys: the keys that sign each tenant's webhooks, read again when they are a second old."""

import time
from typing import NamedTuple

from headrace.delivery_store import DeliveryStore
from headrace.mux import Mux
from headrace.secret_box import SecretBox
from headrace.webhooks import key_of

_FRESH_S = 1.0


class _Known(NamedTuple):
    keys: list[bytes]
    read_at: float


class SigningKeys:
    """Reads them, and has one made for a tenant that has none."""

    def __init__(self, *, mux: Mux, store: DeliveryStore, box: SecretBox) -> None:
        self._box = box
        self._mux = mux
        self._store = store
        self._known: dict[str, _Known] = {}

    async def of(self, tenant: str) -> list[bytes]:
        """The keys of a tenant, the newest first.

        Raises:
            RedisUnavailable: if they must be read and cannot be.
        """
        known = self._known.get(tenant)
        if known is None or time.monotonic() - known.read_at > _FRESH_S:
            secrets = await self._mux.run(self._store.secrets(tenant, box=self._box))
            known = self._known[tenant] = _Known([key_of(secret) for secret in secrets], time.monotonic())
        return known.keys
