"""EndpointStore: operations on the registered receivers of webhooks of one cell, one hash a tenant."""

import logging
from typing import NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from headrace.endpoints import Endpoint, Health
from headrace.keys import Keys
from headrace.redis_op import RedisOp, Reply, load_script

log = logging.getLogger("headrace.endpoints")

Record = TypeVar("Record", bound=BaseModel)


class Noted(NamedTuple):
    """How an endpoint has been, and the note that says so, byte for byte; empty if there is none."""

    health: Health
    text: bytes


class EndpointStore:
    """Reads and writes endpoints."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys

    def put(self, tenant: str, endpoint: Endpoint) -> RedisOp[bool]:
        """Keep one, new or changed."""
        return RedisOp(bool, ("HSET", self.keys.endpoints(tenant), endpoint.id, endpoint.model_dump_json()))

    def get(self, tenant: str, endpoint_id: str) -> RedisOp[Endpoint | None]:
        """One, None if there is none that can be read."""
        return RedisOp(lambda raw: _read(Endpoint, raw), ("HGET", self.keys.endpoints(tenant), endpoint_id))

    def all(self, tenant: str) -> RedisOp[list[Endpoint]]:
        """All of a tenant, the oldest first."""

        def parse(reply: Reply) -> list[Endpoint]:
            found = [endpoint for raw in reply if (endpoint := _read(Endpoint, raw))]
            return sorted(found, key=lambda endpoint: (endpoint.created_ms, endpoint.id))

        return RedisOp(parse, ("HVALS", self.keys.endpoints(tenant)))

    def remove(self, tenant: str, endpoint_id: str) -> RedisOp[bool]:
        """Forget one; False if there was none."""
        return RedisOp(bool, ("HDEL", self.keys.endpoints(tenant), endpoint_id))

    def health(self, tenant: str, endpoint_id: str) -> RedisOp[Health]:
        """How one has been lately."""
        key = self.keys.endpoint_health(tenant)
        return RedisOp(lambda raw: _read(Health, raw) or Health(), ("HGET", key, endpoint_id))

    def noted(self, tenant: str, endpoint_id: str) -> RedisOp[Noted]:
        """The same, with the note itself."""

        def parse(raw: bytes | None) -> Noted:
            return Noted(_read(Health, raw) or Health(), raw or b"")

        return RedisOp(parse, ("HGET", self.keys.endpoint_health(tenant), endpoint_id))

    def note_after(self, tenant: str, endpoint_id: str, seen: Noted, health: Health) -> RedisOp[bool]:
        """Note what followed from `seen`; False if the endpoint was deleted, or something else was noted since."""
        is_news = health.stopped is not None and seen.health.stopped is None
        args = (self.keys.prefix, tenant, endpoint_id, seen.text, health.model_dump_json(), int(is_news))
        return RedisOp(bool, args, load_script("note_health"))

    def note_health(self, tenant: str, endpoint_id: str, health: Health) -> RedisOp[bool]:
        """Note it, whatever was noted before: its owner says so."""
        key = self.keys.endpoint_health(tenant)
        return RedisOp(lambda _: True, ("HSET", key, endpoint_id, health.model_dump_json()))

    def forget_health(self, tenant: str, endpoint_id: str) -> RedisOp[bool]:
        """Of one that is gone."""
        return RedisOp(lambda _: True, ("HDEL", self.keys.endpoint_health(tenant), endpoint_id))


def _read(kind: type[Record], raw: bytes | None) -> Record | None:
    try:
        return None if raw is None else kind.model_validate_json(raw)
    except ValidationError as error:
        log.warning("what is kept of an endpoint cannot be read: %s", error)
        return None
