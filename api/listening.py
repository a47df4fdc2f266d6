"""What couriers began to tell, brought to whoever listens: each event as it is sent, signed for the listener too."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from api.services import Services
from headrace.delivery_store import Followed, FollowedDelivery, Place
from headrace.endpoints import MARK, Endpoint, Include, named_endpoint
from headrace.jobs import JobStatus
from headrace.secret_box import box_of
from headrace.webhook_event import MOST_INLINE_BYTES, body_of
from headrace.webhook_signature import signed_headers
from headrace.webhooks import DueDelivery, event_id_of, key_of, listening_secret

#: What a `cursor` looks like.
PLACE = r"^[0-9]{1,15}\.[!-~]{0,200}$"
_LOOK_EVERY_S = 0.25
#: Results for Celery's producers go the same way, and are nobody else's.
_RECEIVERS = ("http", MARK)


class Listener:
    """Of one tenant."""

    def __init__(self, services: Services, tenant: str) -> None:
        self._services, self._tenant = services, tenant
        self._run, self._box = services.mux.run, box_of(services.settings)

    async def listen(self, after: Place | None, *, wait_s: float, limit: int) -> dict[str, Any]:
        """Events after a place, waited for if there are none yet; without a place, where to begin.

        Raises:
            RedisUnavailable: if that cannot be known.
            SettingsError: if a secret cannot be opened.
        """
        secrets = await self._run(self._services.deliveries.secrets(self._tenant, box=self._box))
        followed = await self._follow(after, limit, time.monotonic() + wait_s)
        secret = listening_secret(secrets[0])
        told = [each for each in followed.deliveries if each.due.url.startswith(_RECEIVERS)]
        events = [await self._event(each, [*secrets, secret]) for each in told]
        return {"cursor": str(followed.place), "secret": secret, "events": events}

    async def _follow(self, after: Place | None, limit: int, until: float) -> Followed:
        follow = self._services.deliveries.follow(self._tenant, after, limit=limit, most_output_bytes=MOST_INLINE_BYTES)
        while True:
            followed = await self._run(follow)
            is_over = self._services.waiters.is_closed or time.monotonic() >= until
            if followed.deliveries or after is None or is_over:
                return followed
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _event(self, followed: FollowedDelivery, secrets: Sequence[str]) -> dict[str, Any]:
        due, delivery = followed
        if (endpoint_id := named_endpoint(due.url)) is not None:
            endpoint = await self._run(self._services.endpoints.get(self._tenant, endpoint_id))
            if endpoint is not None:
                own = [self._box.open(sealed) for sealed in endpoint.signing(time.time_ns() // 1_000_000)]
                secrets = [*own, secrets[-1]]
                due = due._replace(output=None) if _is_left_to_be_fetched(endpoint, due) else due
        event_id, body = event_id_of(due.id), body_of(due)
        headers = signed_headers(event_id, int(time.time()), body, [key_of(secret) for secret in secrets])
        return {
            "id": event_id,
            "type": due.event,
            "url": due.url,
            "status": delivery.state,
            "attempts": delivery.attempts,
            "outcome": delivery.outcome,
            "headers": headers,
            "body": body.decode(),
        }


def _is_left_to_be_fetched(endpoint: Endpoint, due: DueDelivery) -> bool:
    return endpoint.include is Include.LINK and due.job.status is JobStatus.SUCCEEDED
