"""Celery's queues may hold anything: what is no message is set apart, and the worker goes on.

A stock worker ends at the first message that cannot be read, or that no handler was prepared for, and the next one
meets the same message. Both hooks are settings of Celery's: the transport (`broker_transport`) sees what comes off the
wire, the consumer (`worker_consumer`) what its handlers do with it.
"""

import logging
import time
from collections.abc import Callable
from queue import Empty
from typing import Any, Final

import kombu.transport.redis
import redis
from celery.worker.consumer import Consumer

from headrace.keys import Keys
from headrace.redis_op import RedisOp
from headrace.strays import StrayMessage, TypedKey, note_message, set_keys_apart

log = logging.getLogger("headrace.quarantine")


#: What means that the connection is gone. Celery's own list has KeyError too, which a message can bring about.
_BROKEN: Final = (redis.ConnectionError, redis.TimeoutError, OSError)
#: What the loop expects besides: nothing was there to read.
_EXPECTED: Final = (*_BROKEN, Empty)


#: First words of replies by which a living server says that it cannot serve now: its disk or memory is full, it loads.
_UNABLE: Final = ("MISCONF", "OOM", "LOADING", "READONLY", "MASTERDOWN", "NOREPLICAS", "BUSY")
_PAUSE_S = 0.25


class NotAMessage(Exception):
    """Raised when what came out of a queue lacks what every message has."""


class SoundMessage(kombu.transport.redis.Channel.Message):
    """A message, or an error that cannot be taken for one of the connection's (which a KeyError would be)."""

    def __init__(self, payload: Any, channel: Any = None, **options: Any) -> None:
        try:
            super().__init__(payload, channel=channel, **options)
            self.delivery_info["exchange"], self.delivery_info["routing_key"], hash(self.delivery_tag)
            dict(self.headers).get("task")
        except Exception as error:
            raise NotAMessage(f"no message: {type(error).__name__}: {error}") from error


class QuarantineQoS(kombu.transport.redis.QoS):
    """What was delivered and not acknowledged; a record of it that cannot be read is dropped."""

    def ack(self, delivery_tag: Any) -> None:
        """Forget a message that was taken."""
        self._on_sound_keys(super().ack, delivery_tag)

    def reject(self, delivery_tag: Any, requeue: bool = False) -> None:
        """Forget a message, or put it back."""
        self._on_sound_keys(super().reject, delivery_tag, requeue=requeue)

    def _on_sound_keys(self, act: Callable[..., None], *args: Any, **options: Any) -> None:
        # Called from the worker's loop, where no error of Redis's but a broken connection may arrive.
        try:
            act(*args, **options)
        except redis.ResponseError as error:
            log.error("Celery's queues cannot be used: %s", error)
            self.channel.set_keys_right()
            act(*args, **options)

    def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:
        """Put a message back; called for every record that has been there for long."""
        try:
            super().restore_by_tag(tag, client=client, leftmost=leftmost)
        except _BROKEN:
            raise
        except redis.ResponseError:
            self.channel.set_keys_right()
        except Exception as error:  # noqa: BLE001 - anything may be wrong with what anybody wrote
            self.channel.set_apart(self.unacked_key, error, tag)
            self._remove_from_indices(tag).execute()

    def restore_visible(self, **options: Any) -> None:
        """Put back what has been there for long."""
        try:
            super().restore_visible(**options)
        except redis.ResponseError:
            self.channel.set_keys_right()


class QuarantineChannel(kombu.transport.redis.Channel):
    """A channel that remembers what it read last."""

    Message = SoundMessage
    QoS = QuarantineQoS
    from_transport_options = (*kombu.transport.redis.Channel.from_transport_options, "cell")
    cell = "c1"

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._keys = Keys(cell=self.cell)
        self.read_last: Any = None
        self.client.set_response_callback("BRPOP", self._remember)

    def _remember(self, reply: Any, **_: Any) -> Any:
        self.read_last = tuple(reply) if reply else None
        return self.read_last

    def set_apart(self, queue: str, error: object, content: object) -> None:
        """List a message that will not be worked on."""
        log.error("set apart what came from %s: %s", queue, error)
        self._run(note_message(self._keys, StrayMessage(queue, str(error), content)))

    def set_keys_right(self) -> None:
        """Rename keys of Celery's that hold another type."""
        lists = [self._q_for_pri(queue, step) for queue in self.active_queues for step in self.priority_steps]
        suspects = [TypedKey(key, "list") for key in lists]
        suspects += [TypedKey(self.unacked_key, "hash"), TypedKey(self.unacked_index_key, "zset")]
        for key, kind in self._run(set_keys_apart(self._keys, suspects)) or ():
            log.error("set apart what was at %s and is no %s", key, kind)

    def _run(self, op: RedisOp[Any]) -> Any:
        assert op.script is not None
        with self.conn_or_acquire() as client:
            return op.parse(client.eval(op.script.text, 1, *op.args))


class QuarantineTransport(kombu.transport.redis.Transport):
    """Celery's transport over Redis; what cannot be read or handled ends nothing."""

    Channel = QuarantineChannel

    def on_readable(self, fileno: int) -> None:
        """Something came; whatever it is, only a broken connection may break the worker's loop."""
        for channel in self.channels:
            channel.read_last = None
        try:
            super().on_readable(fileno)
        except _EXPECTED:
            raise
        except redis.ResponseError as error:
            log.error("Celery's queues cannot be used: %s", error)
            if str(error).startswith(_UNABLE):
                # It is asked again at once, so not without a pause; without it nothing else can be done either.
                time.sleep(_PAUSE_S)
            else:
                self._set_keys_right()
        except Exception as error:  # noqa: BLE001 - anything may be wrong with what anybody wrote
            self._set_apart(error)

    def _set_keys_right(self) -> None:
        for channel in self.channels:
            channel.set_keys_right()
            if channel.read_last:
                # It was sound: what stood in its way was not.
                channel.client.rpush(*channel.read_last)

    def _set_apart(self, error: Exception) -> None:
        read = [channel for channel in self.channels if channel.read_last]
        for channel in read:
            queue, message = channel.read_last
            channel.set_apart(queue.decode(errors="replace"), error, message)
        if not read:
            log.error("passed over what somebody published: %s", error)


class QuarantineConsumer(Consumer):
    """Celery's consumer; messages that it cannot make a task of are set apart."""

    def create_task_handler(self, *args: Any, **options: Any) -> Callable[[Any], None]:
        """The handler of task messages, which Celery has prepared for fewer mistakes than can be made."""
        handle = super().create_task_handler(*args, **options)

        def on_task_received(message: Any) -> None:
            try:
                handle(message)
            except _BROKEN:
                raise
            except Exception as error:  # noqa: BLE001 - anything may be wrong with it
                self._set_apart(message, error)
                if not message.acknowledged:
                    message.reject()

        return on_task_received

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """A message of an unknown layout."""
        self._set_apart(message, "not a task message")
        super().on_unknown_message(body, message)

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """A task that is not registered here."""
        self._set_apart(message, f"no such task: {exc}")
        super().on_unknown_task(body, message, exc)

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """A task message with impossible fields."""
        self._set_apart(message, exc)
        super().on_invalid_task(body, message, exc)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """A body that cannot be decoded, or may not be: pickle, say."""
        self._set_apart(message, exc)
        super().on_decode_error(message, exc)

    @staticmethod
    def _set_apart(message: Any, why: object) -> None:
        queue = (message.delivery_info or {}).get("routing_key")
        message.channel.set_apart(str(queue), why, (message.headers, message.body))
