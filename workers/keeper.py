"""Keeper: a thread that renews the leases of what this worker holds and says that the worker lives.

A thread with a connection of its own, because Celery's event loop stands still while Celery reconnects. It vouches
only while the loop ticks: a worker whose loop hangs loses its leases, and its jobs go to others.

It also knows when that must have happened: what it was told is lost, and what it could not renew for as long as a
lease lasts. The engine asks, so that no forward pass is begun for jobs that others may have by then (self-fencing).
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from headrace.errors import RedisUnavailable
from headrace.failpoints import failpoint
from headrace.jobs import Lease
from headrace.keys import Keys
from headrace.presence import WorkerPresence
from headrace.redis_op import RedisOp, Reply
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis

log = logging.getLogger("headrace.keeper")

_TIMEOUT_S = 2.0
_LEASES_A_CALL = 1000
#: Of a lease, how much may pass without a renewal before nothing is begun under it any more.
_MARGIN = 0.9
#: Whoever looks at the workers or scales them wants to know how they are now.
_SPEAK_S = 1.0


@dataclass(frozen=True, kw_only=True)
class KeeperSources:
    """Where the keeper learns what to say; called from its thread."""

    leases: Callable[[], list[Lease]]
    presence: Callable[[], WorkerPresence]
    #: True while the event loop is alive.
    loop_is_alive: Callable[[], bool]


class Keeper:
    """Renews at a third of the lease time."""

    def __init__(self, *, url: str, store: JobStore, lease_ms: int, sources: KeeperSources) -> None:
        self._redis = SyncRedis(url=url, timeout_s=_TIMEOUT_S)
        self._store = store
        self._keys: Keys = store.keys
        self._lease_ms = lease_ms
        self._sources = sources
        self._renew_at = 0.0
        self._renewed_at = time.monotonic()
        self._lost: deque[str] = deque()
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="headrace-keeper", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def speak(self) -> None:
        """Say at once what has changed."""
        self._wake.set()

    def vouches(self, now: float) -> bool:
        """Tell whether the leases can still be ours: the last renewal was sent less than a lease ago, by our clock.

        A lease that was taken after that renewal ends later; a margin makes up for clocks that run unevenly.
        """
        return now - self._renewed_at < _MARGIN * self._lease_ms / 1000

    def take_lost(self) -> set[str]:
        """The leases, as `member#fence`, of which the server has said since the last call that they are not ours."""
        lost: set[str] = set()
        while self._lost:
            lost.add(self._lost.popleft())
        return lost

    def stop(self) -> None:
        """Say goodbye and end; waits for the thread."""
        self._stopping = True
        self._wake.set()
        self._thread.join(2 * _TIMEOUT_S)

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(min(_SPEAK_S, self._lease_ms / 3000))
            self._wake.clear()
            try:
                self._vouch()
            except RedisUnavailable as error:
                log.warning("leases could not be renewed: %s", error)
                # Nobody hurries a server that is down.
                time.sleep(min(1.0, self._lease_ms / 3000))
            except Exception:
                log.exception("the keeper goes on after an error")
        self._say_goodbye()

    def _vouch(self) -> None:
        if self._stopping or not self._sources.loop_is_alive():
            return
        self._renew(time.monotonic())
        presence = self._sources.presence()
        self._redis.run_all(
            [
                _command("SET", self._keys.worker(presence.id), presence.to_bytes(), "PX", self._lease_ms),
                _command("ZADD", self._keys.workers, time.time_ns() // 1_000_000, presence.id),
            ]
        )

    def _renew(self, now: float) -> None:
        if now < self._renew_at:
            return
        failpoint("worker.before_renew")
        leases = self._sources.leases()
        for first in range(0, len(leases), _LEASES_A_CALL):
            renew = self._store.renew(leases[first : first + _LEASES_A_CALL], lease_ms=self._lease_ms)
            # Some were committed while the renewal was on its way; the others' results would be refused.
            lost: list[str] = self._redis.run(renew)
            self._lost.extend(lost)
        self._renewed_at = now
        # A little early, or a wake-up that comes a moment too soon would put the renewal off by a whole turn.
        self._renew_at = now + 0.9 * self._lease_ms / 3000

    def _say_goodbye(self) -> None:
        presence = self._sources.presence()
        try:
            self._redis.run_all(
                [
                    _command("DEL", self._keys.worker(presence.id), self._keys.wake(presence.id)),
                    _command("ZREM", self._keys.workers, presence.id),
                ]
            )
        except RedisUnavailable:
            log.info("no goodbye: Redis does not answer")
        self._redis.close()


def _command(*args: str | bytes | int) -> RedisOp[Reply]:
    return RedisOp(lambda reply: reply, args)
