"""The secret that seals job ids: made once per installation and kept in Redis."""

import secrets

from headrace.keys import Keys
from headrace.redis_op import RedisOp

_KEY_BYTES = 32


def offer_id_key(keys: Keys) -> RedisOp[bool]:
    """Store a new secret unless there is one, so that processes that start together agree."""
    return RedisOp(bool, ("SET", keys.id_key, secrets.token_bytes(_KEY_BYTES), "NX"))


def read_id_key(keys: Keys) -> RedisOp[bytes]:
    """The secret that is stored."""
    return RedisOp(bytes, ("GET", keys.id_key))
