"""The API keys as one process remembers them: for so short that what was revoked opens nothing a moment later."""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import redis

from headrace.api_keys import ApiKey, KeyState, split_key
from headrace.errors import Unauthenticated
from headrace.key_store import KeyStore
from headrace.mux import Mux
from headrace.redis_op import RedisOp

T = TypeVar("T")

log = logging.getLogger("headrace.api")

#: How long a key is believed that was read once.
KNOWN_FOR_S = 2.0
#: How long it is believed that there are no keys.
_NONE_FOR_S = 1.0
_MOST_KNOWN = 10_000


class _Known(NamedTuple):
    key: ApiKey
    until: float


class KeyRing:
    """Finds keys by their text.

    Args:
        mux: how Redis is asked.
        store: where keys are kept.
        is_strict: demand keys even while there are none.
        now: seconds that only rise.
    """

    def __init__(
        self, *, mux: Mux, store: KeyStore, is_strict: bool, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._mux = mux
        self._store = store
        self._now = now
        self._known: OrderedDict[str, _Known] = OrderedDict()
        #: Once there are keys they are demanded, also from who comes when Redis has lost them.
        self._is_demanded = is_strict
        self._none_until = float("-inf")

    async def is_demanded(self) -> bool:
        """Tell whether a request without a key is refused: if there are keys, or something lies in their place.

        Raises:
            RedisUnavailable: if that cannot be learned.
        """
        if not self._is_demanded and self._now() >= self._none_until:
            known = await self._ask(self._store.any())
            if known is None:
                # Whether there are any is not known, so nobody may pass; it is asked again next time.
                return True
            self._is_demanded = known
            self._none_until = self._now() + _NONE_FOR_S
        return self._is_demanded

    async def find(self, text: str) -> ApiKey:
        """The key that is written so.

        Raises:
            Unauthenticated: if it opens nothing.
            RedisUnavailable: if it cannot be looked up.
        """
        parts = split_key(text)
        if parts is None:
            raise Unauthenticated("this is no API key; a key begins with sk_")
        key_id, secret = parts
        key = await self._read(key_id)
        # The same words whether the id or the secret is wrong: nobody should learn which ids there are.
        if key is None or not key.admits(secret):
            raise Unauthenticated("there is no such API key")
        state = key.state(time.time_ns() // 1_000_000)
        if state is not KeyState.ACTIVE:
            raise Unauthenticated(f"the API key {key.id} is {state}; ask for a new one")
        return key

    async def _read(self, key_id: str) -> ApiKey | None:
        known = self._known.get(key_id)
        if known is not None and self._now() < known.until:
            return known.key
        asked_at = self._now()
        key = await self._ask(self._store.get(key_id))
        self._known.pop(key_id, None)
        if key is not None:
            self._known[key_id] = _Known(key, asked_at + KNOWN_FOR_S)
            if len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
        return key

    async def _ask(self, op: RedisOp[T]) -> T | None:
        """What Redis answers; None where the keys should be lies something of another type, which opens nothing."""
        try:
            return await self._mux.run(op)
        except redis.ResponseError as error:
            log.warning("the API keys cannot be read: %s", error)
            return None
