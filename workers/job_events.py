"""JobEvents: one Celery event per job and step, for Flower and `celery events`; one publication per batch and step.

The envelope is the one that kombu makes, with the events as a list (`task.multi`). Built by hand because kombu's
publisher costs more than everything else that is done for a job. While nobody listens, nothing is built.
"""

import base64
import json
import time
import uuid
from collections.abc import Sequence
from typing import Any

import orjson

from headrace.redis_op import RedisOp
from workers.held_jobs import HeldJob
from workers.wire import Wire

_TOPIC = "task.multi"
#: After a publication that nobody received.
_QUIET_S = 1.0
_LONGEST_ERROR = 200


class JobEvents:
    """Publishes through the worker's own connection.

    Args:
        wire: where to publish.
        dispatcher: Celery's event dispatcher; enabled by `-E`, or by a listener's remote control.
    """

    def __init__(self, *, wire: Wire, dispatcher: Any) -> None:
        self._wire = wire
        self._dispatcher = dispatcher
        self._quiet_until = 0.0
        self._channel_name: str | None = None
        self._tail = b""

    def _is_heard(self) -> bool:
        dispatcher = self._dispatcher
        return bool(
            dispatcher is not None
            and dispatcher.enabled
            and self._wire.is_open
            and time.monotonic() >= self._quiet_until
        )

    def received(self, jobs: Sequence[HeldJob]) -> None:
        """Jobs were claimed."""
        if self._is_heard():
            self._publish(
                [
                    self._event("task-received", held)
                    | {"name": held.ref, "args": "()", "kwargs": "{}", "root_id": None, "parent_id": None}
                    | {"retries": held.job.attempts, "eta": None, "expires": None}
                    for held in jobs
                ]
            )

    def started(self, jobs: Sequence[HeldJob]) -> None:
        """Jobs entered a forward pass."""
        if self._is_heard():
            self._publish([self._event("task-started", held) for held in jobs])

    def ended(self, jobs: Sequence[HeldJob], errors: Sequence[str | None], took_s: float) -> None:
        """Jobs ended; those that failed come with their error documents."""
        if self._is_heard():
            self._publish([self._end(held, error, took_s) for held, error in zip(jobs, errors, strict=True)])

    def revoked(self, jobs: Sequence[HeldJob]) -> None:
        """Jobs were canceled before they began."""
        if self._is_heard():
            how = {"terminated": False, "signum": None, "expired": False}
            self._publish([self._event("task-revoked", held) | how for held in jobs])

    def _end(self, held: HeldJob, error: str | None, took_s: float) -> dict[str, Any]:
        if error is None:
            return self._event("task-succeeded", held) | {"result": "", "runtime": took_s}
        document = orjson.loads(error)
        exception = f"{document['cause']}: {document['detail']}"[:_LONGEST_ERROR]
        return self._event("task-failed", held) | {"exception": exception, "traceback": ""}

    def _event(self, kind: str, held: HeldJob) -> dict[str, Any]:
        dispatcher = self._dispatcher
        return {
            "type": kind,
            "uuid": held.id,
            "timestamp": time.time(),
            "hostname": dispatcher.hostname,
            "utcoffset": 0,
            "pid": dispatcher.pid,
            "clock": dispatcher.clock.forward(),
        }

    def _publish(self, events: list[dict[str, Any]]) -> None:
        if self._channel_name is None:
            self._learn_envelope()
        body = base64.b64encode(orjson.dumps(events))
        envelope = b'{"body": "%s%s%s"}}' % (body, self._tail, uuid.uuid4().hex.encode())
        op = RedisOp(int, ("PUBLISH", self._channel_name or "", envelope))
        self._wire.send(op, self._heard_by, lambda _: None)

    def _heard_by(self, listeners: int) -> None:
        if listeners == 0:
            self._quiet_until = time.monotonic() + _QUIET_S

    def _learn_envelope(self) -> None:
        dispatcher = self._dispatcher
        # kombu's own spelling of the channel: it depends on the database number and the transport's options.
        self._channel_name = dispatcher.producer.channel._get_publish_topic(dispatcher.exchange.name, _TOPIC)
        envelope = json.dumps(
            {
                "content-encoding": "utf-8",
                "content-type": "application/json",
                "headers": {"hostname": dispatcher.hostname},
                "properties": {
                    "delivery_mode": 1,
                    "delivery_info": {"exchange": dispatcher.exchange.name, "routing_key": _TOPIC},
                    "priority": 0,
                    "body_encoding": "base64",
                    "delivery_tag": "",
                },
            }
        )
        self._tail = b'", ' + envelope.removeprefix("{").removesuffix('"}}').encode()
