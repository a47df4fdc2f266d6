"""Where processes serve their metrics: each says so in Redis, and the API lists them for Prometheus' HTTP discovery."""

import json
import time
from collections.abc import Sequence
from typing import NamedTuple

from headrace.keys import Keys
from headrace.redis_op import RedisOp, Reply

#: How often a process says that it is there.
ANNOUNCE_S = 10.0
#: One that has not said so for this long is gone.
_SILENT_MS = 35_000


class MetricTarget(NamedTuple):
    """One process that serves metrics."""

    #: `host:port`, as seen by whoever may reach it.
    address: str
    #: `worker`, `courier`, `scheduler`, or `api` where several processes share its port.
    service: str
    worker_class: str = ""
    #: What it was called by whoever started it.
    node: str = ""


class MetricTargets:
    """Operations on the list of one cell."""

    def __init__(self, keys: Keys) -> None:
        self._key = keys.targets

    def announce(self, target: MetricTarget) -> Sequence[RedisOp[int]]:
        """Say that a target is there, and forget those that are gone."""
        now_ms = _now_ms()
        return (
            RedisOp(int, ("ZADD", self._key, now_ms, _member(target))),
            RedisOp(int, ("ZREMRANGEBYSCORE", self._key, "-inf", now_ms - _SILENT_MS)),
        )

    def withdraw(self, target: MetricTarget) -> RedisOp[int]:
        """Say that a target ends."""
        return RedisOp(int, ("ZREM", self._key, _member(target)))

    def listed(self) -> RedisOp[list[MetricTarget]]:
        """Those that are there."""
        return RedisOp(_targets, ("ZRANGEBYSCORE", self._key, _now_ms() - _SILENT_MS, "+inf"))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _member(target: MetricTarget) -> str:
    return json.dumps(target)


def _targets(reply: Reply) -> list[MetricTarget]:
    return sorted(target for raw in reply if (target := _parsed(raw)) is not None)


def _parsed(raw: bytes) -> MetricTarget | None:
    """What was announced; None for what is none of ours."""
    try:
        fields = json.loads(raw)
    except ValueError:
        return None
    is_one = isinstance(fields, list) and len(fields) == len(MetricTarget._fields)
    return MetricTarget(*fields) if is_one and all(isinstance(field, str) for field in fields) else None
