"""EndpointDesk: where a tenant's receivers of webhooks are registered, changed and forgotten."""

import time
from typing import Any, NamedTuple

from api.services import Services
from headrace.endpoints import (
    MOST_ENDPOINTS,
    Endpoint,
    EndpointChange,
    EndpointRequest,
    Health,
    Stop,
    new_endpoint_id,
)
from headrace.errors import Conflict, EndpointNotFound, FieldError
from headrace.reading import invalid_fields
from headrace.secret_box import OpenBox, SecretBox, box_of
from headrace.timestamps import rfc3339
from headrace.webhook_url import check_webhook_url
from headrace.webhooks import new_secret


class Shown(NamedTuple):
    """An endpoint, and its secret when that is new: it is never shown again."""

    endpoint: Endpoint
    health: Health
    secret: str = ""

    def document(self) -> dict[str, Any]:
        """As its owner sees it."""
        endpoint, health = self.endpoint, self.health
        document = {
            "id": endpoint.id,
            "url": endpoint.url,
            "events": sorted(endpoint.events),
            "include": endpoint.include,
            "description": endpoint.description,
            "enabled": health.stopped is None,
            "stopped": health.stopped,
            "failing_since": rfc3339(health.failing_since_ms or None),
            "created": rfc3339(endpoint.created_ms),
        }
        return {**document, "secret": self.secret} if self.secret else document


class EndpointDesk:
    """Of one tenant."""

    def __init__(self, services: Services, tenant: str) -> None:
        self._run, self._store = services.mux.run, services.endpoints
        self._egress, self._tenant = services.settings.webhook_egress, tenant
        self._settings = services.settings

    async def register(self, request: EndpointRequest) -> Shown:
        """Keep a receiver, with a secret of its own.

        Raises:
            InvalidInput: if webhooks may not be sent there.
            Conflict: if there are too many, or nothing to seal secrets with.
        """
        url = self._checked(request.url)
        box = self._box()
        known = await self._run(self._store.all(self._tenant))
        if len(known) >= MOST_ENDPOINTS:
            raise Conflict(f"there are {MOST_ENDPOINTS} endpoints already; delete one first")
        secret = new_secret()
        kept = request.model_dump() | {"url": url, "secret": box.seal(secret)}
        endpoint = Endpoint(id=new_endpoint_id(), created_ms=_now_ms(), **kept)
        await self._run(self._store.put(self._tenant, endpoint))
        return Shown(endpoint, Health(), secret)

    async def all(self) -> list[Shown]:
        """Every one, the oldest first."""
        return [await self._with_health(endpoint) for endpoint in await self._run(self._store.all(self._tenant))]

    async def find(self, endpoint_id: str) -> Shown:
        """One.

        Raises:
            EndpointNotFound: if there is none.
        """
        endpoint = await self._run(self._store.get(self._tenant, endpoint_id))
        if endpoint is None:
            raise EndpointNotFound(f"there is no endpoint {endpoint_id[:80]}; GET /v1/webhook-endpoints lists them")
        return await self._with_health(endpoint)

    async def change(self, endpoint_id: str, change: EndpointChange) -> Shown:
        """Change what is named; raises as `register` and `find` do."""
        endpoint = (await self.find(endpoint_id)).endpoint.changed(change)
        if change.url is not None:
            endpoint = endpoint.model_copy(update={"url": self._checked(change.url)})
        await self._run(self._store.put(self._tenant, endpoint))
        if change.enabled is not None:
            health = Health() if change.enabled else Health(stopped=Stop.DISABLED)
            await self._run(self._store.note_health(self._tenant, endpoint_id, health))
        return await self._with_health(endpoint)

    async def rotate(self, endpoint_id: str) -> Shown:
        """Replace its secret; the one before signs along for a day.

        Raises:
            EndpointNotFound: if there is none.
            Conflict: if there is nothing to seal secrets with.
        """
        shown, secret = await self.find(endpoint_id), new_secret()
        endpoint = shown.endpoint.rotated(self._box().seal(secret), _now_ms())
        await self._run(self._store.put(self._tenant, endpoint))
        return Shown(endpoint, shown.health, secret)

    async def remove(self, endpoint_id: str) -> None:
        """Forget it: what it was still to be told is given up. Raises as `find` does."""
        await self.find(endpoint_id)
        await self._run(self._store.remove(self._tenant, endpoint_id))
        await self._run(self._store.forget_health(self._tenant, endpoint_id))

    async def _with_health(self, endpoint: Endpoint) -> Shown:
        return Shown(endpoint, await self._run(self._store.health(self._tenant, endpoint.id)))

    def _box(self) -> SecretBox:
        box = box_of(self._settings)
        if isinstance(box, OpenBox):
            raise Conflict("endpoints have secrets, which are kept sealed: the operator must set webhook_key first")
        return box

    def _checked(self, url: str) -> str:
        try:
            return check_webhook_url(url, self._egress)
        except ValueError as error:
            raise invalid_fields([FieldError("/url", str(error), "webhook_url")]) from error


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
