"""A blocking connection to Redis that carries out operations: for tools, tests, threads and the scheduler."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import redis

from headrace.errors import RedisUnavailable
from headrace.redis_op import Argument, RedisOp, Reply, Script, pack

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
        self._loaded: set[Script] = set()

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
        """Carry out many operations, which leave in one write, in order.

        Those whose script the server has lost since this connection first sent it come last.

        Raises:
            RedisUnavailable: as of `run`.
            redis.ResponseError: if the server refuses one; the others are carried out.
        """
        ops = list(ops)
        self._load({op.script for op in ops if op.script})
        try:
            replies = self._exchange([op.command for op in ops])
            return [op.parse(self._heard(op, reply)) for op, reply in zip(ops, replies, strict=True)]
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise RedisUnavailable(f"Redis does not answer: {error}") from error

    def _load(self, scripts: set[Script]) -> None:
        for script in scripts - self._loaded:
            self.client.script_load(script.text)
        self._loaded |= scripts

    def _exchange(self, commands: list[Sequence[Argument]]) -> list[Reply]:
        """The replies to some commands; a `redis.ResponseError` is one as well."""
        # Any, since redis-py is untyped here.
        connection: Any = self._raw.connection_pool.get_connection()

        def exchange() -> list[Reply]:
            # What redis-py's pipeline does besides takes as long as this, and its packing half of that.
            connection.send_packed_command([b"".join(map(pack, commands))])
            return [_read(connection) for _ in commands]

        try:
            replies: list[Reply] = connection.retry.call_with_retry(exchange, lambda _: connection.disconnect())
        finally:
            self._raw.connection_pool.release(connection)
        return replies

    def _heard(self, op: RedisOp[T], reply: Reply) -> Reply:
        if isinstance(reply, redis.exceptions.NoScriptError):
            return self._raw.execute_command(*op.fallback)  # type: ignore[no-untyped-call]
        if isinstance(reply, redis.ResponseError):
            raise reply
        return reply

    def close(self) -> None:
        """Give the connection back."""
        self.client.close()
        self._raw.close()


def _client(url: str, timeout_s: float) -> redis.Redis:
    return redis.Redis.from_url(url, protocol=2, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)


def _read(connection: Any) -> Reply:
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return error
