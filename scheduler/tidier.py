"""Tidier: looks after keys that somebody else wrote to, so that one of them cannot stop everybody for ever."""

import itertools
import logging
from collections.abc import Callable, Iterator

from headrace.groups import is_group
from headrace.keys import Keys
from headrace.redis_op import RedisOp, Reply
from headrace.strays import StrayMessage, TypedKey, note_message, set_keys_apart, typed_keys
from headrace.sync_redis import SyncRedis

log = logging.getLogger("headrace.scheduler")

#: Keys looked at in one step.
_KEYS_A_STEP = 500
#: Of each kind: more are not looked at.
_MOST_NAMES = 1_000


class Tidier:
    """Each step looks at some keys, round after round; any number of schedulers may tidy.

    Args:
        keys: of the cell.
        connection: carries it out.
    """

    def __init__(self, *, keys: Keys, connection: SyncRedis) -> None:
        self._keys = keys
        self._connection = connection
        self._left: Iterator[TypedKey] = iter(())

    def step(self) -> None:
        """Set apart those of the next keys that hold another type.

        Raises:
            RedisUnavailable: if the server does not answer.
        """
        # The shared ones each time: everybody stands still until they are right.
        self._look_at(typed_keys(self._keys, groups=(), tenants=(), workers=()))
        batch = list(itertools.islice(self._left, _KEYS_A_STEP))
        self._look_at(batch)
        if len(batch) < _KEYS_A_STEP:
            self._left = iter(self._all())

    def _look_at(self, suspects: list[TypedKey]) -> None:
        if suspects:
            for key, kind in self._connection.run(set_keys_apart(self._keys, suspects)):
                log.error("set apart what was at %s and is no %s", key, kind)

    def _all(self) -> list[TypedKey]:
        keys = self._keys
        groups = self._names(("ZRANGE", keys.groups, 0, _MOST_NAMES - 1), _check_group, "ZREM")
        tenants = self._names(("SMEMBERS", keys.tenants), bytes.decode, "SREM")
        workers = self._names(("ZRANGE", keys.workers, 0, _MOST_NAMES - 1), bytes.decode, "ZREM")
        return typed_keys(keys, groups=groups, tenants=tenants[:_MOST_NAMES], workers=workers)

    def _names(self, read: tuple[str | int, ...], check: Callable[[bytes], str], remove: str) -> list[str]:
        """What a set of names holds; what cannot be a name is taken out."""
        key, names = str(read[1]), []
        for raw in self._connection.run(RedisOp(_raw, read)):
            try:
                names.append(check(raw))
            except ValueError as error:
                log.error("set apart what is no name in %s: %s", key, error)
                self._connection.run(note_message(self._keys, StrayMessage(key, str(error), raw)))
                self._connection.run(RedisOp(int, (remove, key, raw)))
        return names


def _check_group(raw: bytes) -> str:
    group = raw.decode()
    if not is_group(group):
        raise ValueError(f"'{group[:64]}' is no group")
    return group


def _raw(reply: Reply) -> list[bytes]:
    return list(reply)
