"""Wake: the scheduler hears the bells of queues that nobody serves, so the first job starts a worker at once."""

import logging
import os
import threading
from collections.abc import Mapping

import redis

from headrace.errors import RedisUnavailable
from headrace.groups import group_of
from headrace.keys import Keys
from headrace.redis_op import RedisOp, Reply
from headrace.sync_redis import SyncRedis
from headrace.worker_class import WorkerClass
from scheduler.homes import Source, serves
from scheduler.observation import Observation

log = logging.getLogger("headrace.scaling")

#: One wait at the bells; a change of what to listen to is heard of so much later.
_WAIT_MS = 200
#: After a ring, and after an error: a burst of first jobs is one reason to look, not many.
_REST_S = 0.05
_PAUSE_S = 1.0


def unserved(seen: Observation, counts: Mapping[str, int], classes: Mapping[str, WorkerClass]) -> tuple[str, ...]:
    """The groups whose jobs no worker will take, now that so many workers of each class are wanted."""
    idle = [kind for name, kind in classes.items() if not counts[name]]
    busy = [kind for name, kind in classes.items() if counts[name]]
    found = []
    for queue in seen.queues:
        source = Source.of(queue)
        if any(serves(kind, source) for kind in idle) and not any(serves(kind, source) for kind in busy):
            found.append(group_of(queue.ref, queue.tier, queue.needs.outgrown_bytes))
    return tuple(found)


class Wake:
    """A thread with a connection of its own, since its reads block. `ring` can be waited for with `select`.

    Args:
        url: of Redis.
        keys: of the cell.
    """

    def __init__(self, *, url: str, keys: Keys) -> None:
        self._redis = SyncRedis(url=url, timeout_s=5.0)
        self._keys = keys
        self._groups: tuple[str, ...] = ()
        self._changed = threading.Event()
        self._closed = False
        #: Last entry seen of each bell. One that was not listened to before is read from its beginning, so nothing
        #: that came between a look and the listening is missed; an old ring costs one look.
        self._seen: dict[str, str] = {}
        self.ring, self._ringer = os.pipe()
        os.set_blocking(self.ring, False)
        self._thread = threading.Thread(target=self._run, name="headrace-wake", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def listen_to(self, groups: tuple[str, ...]) -> None:
        """Hear these from now on, and no others."""
        if groups != self._groups:
            self._groups = groups
            self._changed.set()

    def take(self) -> bool:
        """Tell whether there was a ring since the last call."""
        try:
            return bool(os.read(self.ring, 4096))
        except BlockingIOError:
            return False

    def close(self) -> None:
        """End; waits for the thread."""
        self._closed = True
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join()
        self._redis.close()
        os.close(self.ring)
        os.close(self._ringer)

    def _run(self) -> None:
        rest = threading.Event()
        while not self._closed:
            if not self._groups:
                self._changed.wait()
            self._changed.clear()
            try:
                has_rung = bool(self._groups) and self._redis.run(self._wait(self._groups))
                if has_rung:
                    os.write(self._ringer, b"!")
                    rest.wait(_REST_S)
            except (RedisUnavailable, redis.RedisError) as error:
                log.debug("the bells cannot be heard: %s", error)
                rest.wait(_PAUSE_S)

    def _wait(self, groups: tuple[str, ...]) -> RedisOp[bool]:
        bells = [self._keys.bell(group) for group in groups]
        self._seen = {bell: self._seen.get(bell, "0") for bell in bells}
        return RedisOp(self._note, ("XREAD", "COUNT", 1, "BLOCK", _WAIT_MS, "STREAMS", *bells, *self._seen.values()))

    def _note(self, reply: Reply) -> bool:
        for stream, entries in reply or ():
            self._seen[stream.decode()] = entries[-1][0].decode()
        return bool(reply)
