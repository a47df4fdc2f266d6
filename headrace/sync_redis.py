"""A blocking connection to Redis that carries out operations: for tools, tests, threads and the scheduler."""

from collections.abc import Iterable
from typing import TypeVar

import redis

from headrace.errors import RedisUnavailable
from headrace.redis_op import RedisOp

T = TypeVar("T")


class SyncRedis:
    """Runs operations one by one, or many in one round trip.

    Args:
        url: `redis://`, `rediss://` or `unix://`.
        timeout_s: longest wait for one answer.
    """

    def __init__(self, *, url: str, timeout_s: float = 5.0) -> None:
        self.client = _client(url, timeout_s)
        self._raw = _client(url, timeout_s)
        # Operations read plain replies; redis-py would turn some of them into other types first.
        self._raw.response_callbacks.clear()

    def run(self, op: RedisOp[T]) -> T:
        """Carry out one operation.

        Raises:
            RedisUnavailable: if the server cannot be reached or does not answer in time.
            redis.ResponseError: if the server refuses the command.
        """
        try:
            try:
                reply = self._raw.execute_command(*op.command)  # type: ignore[no-untyped-call]
            except redis.exceptions.NoScriptError:
                reply = self._raw.execute_command(*op.fallback)  # type: ignore[no-untyped-call]
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise RedisUnavailable(f"Redis does not answer: {error}") from error
        return op.parse(reply)

    def run_all(self, ops: Iterable[RedisOp[T]]) -> list[T]:
        """Carry out many operations in one round trip, in order."""
        ops = list(ops)
        for script in {op.script for op in ops if op.script}:
            self.client.script_load(script.text)
        pipeline = self._raw.pipeline(transaction=False)
        for op in ops:
            pipeline.execute_command(*op.command)  # type: ignore[no-untyped-call] # redis-py is untyped here
        try:
            replies = pipeline.execute()
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise RedisUnavailable(f"Redis does not answer: {error}") from error
        return [op.parse(reply) for op, reply in zip(ops, replies, strict=True)]

    def close(self) -> None:
        """Give the connection back."""
        self.client.close()
        self._raw.close()


def _client(url: str, timeout_s: float) -> redis.Redis:
    return redis.Redis.from_url(url, protocol=2, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)
