"""QueueStore: which queues of one cell are paused, and what waits in them.

A queue is one model version in one tier, `name@version:tier`.
"""

from collections.abc import Mapping
from typing import NamedTuple

from headrace.groups import is_group
from headrace.keys import Keys
from headrace.redis_op import RedisOp, Reply, load_script
from headrace.replies import read_texts
from headrace.timestamps import rfc3339

#: Characters of a reason.
MOST_REASON = 200


class Pause(NamedTuple):
    """That no worker claims from a queue."""

    #: Unix milliseconds by Redis.
    since_ms: int
    #: As the operator said; empty if nothing was.
    reason: str

    @property
    def explanation(self) -> str:
        """A sentence for whoever waits."""
        why = f": {self.reason}" if self.reason else ""
        return f"paused by an operator since {rfc3339(self.since_ms)}{why}"

    @property
    def document(self) -> dict[str, str | None]:
        """As callers see it."""
        return {"since": rfc3339(self.since_ms), "reason": self.reason or None}


class Waiting(NamedTuple):
    """What waits in a queue, as far as was looked."""

    jobs: int
    #: True if more is delayed than was looked at.
    goes_on: bool
    #: Of the first jobs.
    members: list[str]


class QueueStore:
    """Pauses and resumes queues, and tells what waits in them."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys

    def pause(self, queue: str, *, reason: str = "") -> RedisOp[Pause]:
        """Let no worker claim from a queue; one that is paused already stays so since then."""
        return RedisOp(_pause, (self.keys.prefix, queue, reason), load_script("pause"))

    def resume(self, queue: str) -> RedisOp[bool]:
        """Let workers claim again, and wake those that wait; False if it was not paused."""
        return RedisOp(bool, (self.keys.prefix, queue), load_script("resume"))

    def waiting(self, queue: str, *, most: int, place: int, places: int) -> RedisOp[Waiting]:
        """What waits in a queue: up to `most` members.

        With `place` 0 what is ready, and of what is delayed the entries from that place on, so many.
        """

        def parse(reply: Reply) -> Waiting:
            jobs, goes_on, *members = reply
            return Waiting(jobs, bool(goes_on), read_texts(members))

        return RedisOp(parse, (self.keys.prefix, queue, most, place, places), load_script("waiting"))

    def paused(self) -> RedisOp[Mapping[str, Pause]]:
        """All queues that are paused."""
        return RedisOp(_pauses, ("HGETALL", self.keys.paused))


def _pauses(reply: Reply) -> dict[str, Pause]:
    names = (name.decode(errors="replace") for name in reply[::2])
    return {name: _pause(said) for name, said in zip(names, reply[1::2], strict=True) if is_group(name)}


def _pause(said: bytes) -> Pause:
    """What is no time counts as long ago: the queue is paused whoever wrote that."""
    since, _, reason = said.decode(errors="replace").partition(" ")
    return Pause(int(since) if since.isascii() and since.isdigit() and len(since) < 15 else 0, reason)
