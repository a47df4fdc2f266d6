"""KeyStore: operations on the API keys of one cell. They lie in one hash, by id."""

import logging

from pydantic import ValidationError

from headrace.api_keys import ApiKey
from headrace.keys import Keys
from headrace.redis_op import RedisOp, Reply

log = logging.getLogger("headrace.keys")


class KeyStore:
    """Reads and writes keys. A key is never taken out, only revoked, so that who has keys never stands open again."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys

    def put(self, key: ApiKey) -> RedisOp[bool]:
        """Keep a key, new or changed."""
        return RedisOp(lambda _: True, ("HSET", self.keys.api_keys, key.id, key.model_dump_json()))

    def get(self, key_id: str) -> RedisOp[ApiKey | None]:
        """The key of an id, None if there is none that can be read."""
        return RedisOp(_key, ("HGET", self.keys.api_keys, key_id))

    def all(self) -> RedisOp[list[ApiKey]]:
        """Every key, the oldest first."""

        def parse(reply: Reply) -> list[ApiKey]:
            found = [key for raw in reply if (key := _key(raw))]
            return sorted(found, key=lambda key: (key.created_ms, key.id))

        return RedisOp(parse, ("HVALS", self.keys.api_keys))

    def any(self) -> RedisOp[bool]:
        """Tell whether a key was ever made; one that this version cannot read is one too, and opens nothing."""
        return RedisOp(bool, ("HLEN", self.keys.api_keys))


def _key(raw: bytes | None) -> ApiKey | None:
    try:
        return None if raw is None else ApiKey.model_validate_json(raw)
    except ValidationError as error:
        log.warning("an API key cannot be read, and opens nothing: %s", error)
        return None
