"""EndpointBook: the registered receivers as a courier knows them, and what it notes of how they are."""

import logging
import time
from typing import NamedTuple

from headrace.endpoint_store import EndpointStore, Noted
from headrace.endpoints import Endpoint, Health
from headrace.mux import Mux
from headrace.secret_box import SecretBox
from headrace.webhooks import key_of

log = logging.getLogger("headrace.courier")

_FRESH_S = 1.0
#: Others that note something at the same moment; whoever loses so often leaves it to the next attempt.
_MOST_TRIES = 5


class Entry(NamedTuple):
    """One of them: None if it was deleted."""

    endpoint: Endpoint | None
    health: Health
    keys: list[bytes]
    read_at: float


class EndpointBook:
    """One per courier. What it knows is read again when it is a second old."""

    def __init__(self, *, mux: Mux, store: EndpointStore, box: SecretBox) -> None:
        self._mux, self._store, self._box = mux, store, box
        self._known: dict[tuple[str, str], Entry] = {}

    async def find(self, tenant: str, endpoint_id: str) -> Entry:
        """What is known of an endpoint.

        Raises:
            RedisUnavailable: if it must be read and cannot be.
            SettingsError: if its secrets cannot be opened.
        """
        known = self._known.get((tenant, endpoint_id))
        if known is None or time.monotonic() - known.read_at > _FRESH_S:
            endpoint, (health, _) = await self._read(tenant, endpoint_id)
            sealed = endpoint.signing(time.time_ns() // 1_000_000) if endpoint else []
            keys = [key_of(self._box.open(secret)) for secret in sealed]
            known = self._known[tenant, endpoint_id] = Entry(endpoint, health, keys, time.monotonic())
        return known

    async def note(self, tenant: str, endpoint_id: str, status: int) -> None:
        """An attempt was answered with `status`, 0 if it was not; written down only if that changes something.

        Nobody is overruled, neither who stopped or deleted it during the attempt nor another courier: it is read again
        before, and noted only if nothing else was since.

        Raises:
            RedisUnavailable: if it cannot be read or written.
        """
        known = self._known[tenant, endpoint_id]
        now_ms = time.time_ns() // 1_000_000
        if known.health.after(status, now_ms) == known.health:
            return
        for _ in range(_MOST_TRIES):
            endpoint, seen = await self._read(tenant, endpoint_id)
            is_told = endpoint is not None and seen.health.stopped is None
            after = seen.health.after(status, now_ms) if is_told else seen.health
            self._known[tenant, endpoint_id] = known._replace(endpoint=endpoint, health=after)
            if after == seen.health:
                return
            if await self._mux.run(self._store.note_after(tenant, endpoint_id, seen, after)):
                break
        if after.stopped:
            log.warning("endpoint %s of %s is told nothing more: %s", endpoint_id, tenant, after.stopped)

    async def _read(self, tenant: str, endpoint_id: str) -> tuple[Endpoint | None, Noted]:
        get, noted = self._store.get(tenant, endpoint_id), self._store.noted(tenant, endpoint_id)
        return await self._mux.run_both(get, noted)
