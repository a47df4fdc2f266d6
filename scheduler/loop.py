"""The scheduler's loop: look at the server, lead if nobody does, keep house, say how many workers there should be."""

import logging
import os
import secrets
import socket
import time
from collections.abc import Callable

import redis

from headrace.errors import RedisUnavailable
from headrace.failpoints import failpoint
from headrace.keys import Keys
from headrace.redis_op import RedisOp, Reply
from headrace.settings import Settings
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from headrace.usage_store import UsageStore
from scheduler.hot_window import HotWindow
from scheduler.housekeeping import Housekeeper, Sweeper
from scheduler.leadership import Lead, Leadership
from scheduler.reap_guard import ReapGuard, ServerView
from scheduler.scaler import Scaler
from scheduler.stop_signal import StopSignal
from scheduler.tidier import Tidier
from scheduler.usage_window import UsageWindow
from scheduler.wake import Wake

log = logging.getLogger("headrace.scheduler")

#: Tidying looks at the type of every shared key, so it comes no oftener than this.
_TIDY_S = 1.0
#: Days end rarely.
_USAGE_S = 60.0
_FIRST_BACKOFF_S = 0.1
_LAST_BACKOFF_S = 2.0


class Turn:
    """Says when something is to be done again that is done every so often."""

    def __init__(self, *, every_s: float) -> None:
        self._every_s = every_s
        self._next_at = float("-inf")

    def hurry(self) -> None:
        """It is to come at once."""
        self._next_at = float("-inf")

    def has_come(self, now: float) -> bool:
        """Tell whether it is time, and if so count from now."""
        if now < self._next_at:
            return False
        # A little early, or a tick that comes a moment too soon would put it off by a whole one.
        self._next_at = now + 0.9 * self._every_s
        return True


class Scheduler:
    """One scheduler process; any number may run, one of them leads.

    Args:
        settings: of the system.
        connection: to its Redis.
        clock: monotonic, in seconds.
        wake: rings when a job comes that nobody serves; None if there is no hurry.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        connection: SyncRedis,
        clock: Callable[[], float] = time.monotonic,
        wake: Wake | None = None,
    ) -> None:
        keys = Keys(cell=settings.cell)
        store = JobStore(keys)
        ttl_s = settings.result_ttl_s
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._settings = settings
        self._connection = connection
        self._clock = clock
        self._wake = wake
        self._leadership = Leadership(keys=keys, scheduler=self.name, ttl_ms=settings.leader_ttl_ms)
        self._guard = ReapGuard(lease_s=settings.lease_ms / 1000)
        self._housekeeper = Housekeeper(store=store, connection=connection, result_ttl_s=ttl_s)
        self._sweeper = Sweeper(store=store, connection=connection, result_ttl_s=ttl_s)
        self._window = HotWindow(store=store, connection=connection, window_bytes=settings.hot_window_bytes)
        self._usage = UsageWindow(usage=UsageStore(keys), connection=connection, kept_days=settings.usage_days)
        self._tidier = Tidier(keys=keys, connection=connection)
        self._scaler = Scaler(settings=settings, connection=connection, store=store, leadership=self._leadership)
        self._lead = Lead(0, "")
        self._failures = 0
        self._ticked_at = clock()
        self._house_turn = Turn(every_s=settings.reap_interval_ms / 1000)
        self._tidy_turn = Turn(every_s=max(_TIDY_S, settings.reap_interval_ms / 1000))
        self._usage_turn = Turn(every_s=_USAGE_S)
        self._scaling_turn = Turn(every_s=settings.scaling_interval_ms / 1000)

    @property
    def is_leading(self) -> bool:
        """True if this one led at the last look."""
        return self._lead.fence > 0

    @property
    def leader(self) -> str:
        """Who led at the last look."""
        return self._lead.leader

    @property
    def tick_age_s(self) -> float:
        """Seconds since its last round that went well."""
        return self._clock() - self._ticked_at

    def run(self, stop: StopSignal) -> None:
        """Tick until asked to stop, through outages of Redis; then give the lead back."""
        pause_s = 0.0
        rings = () if self._wake is None else (self._wake.ring,)
        while not stop.wait(pause_s, *rings):
            if self._wake is not None and self._wake.take():
                self._scaling_turn.hurry()
            pause_s = self._tick_or_back_off()
            if self._wake is not None:
                self._wake.listen_to(self._scaler.unserved if self.is_leading else ())
        self.resign()

    def _tick_or_back_off(self) -> float:
        """Tick; answers the seconds until the next try."""
        try:
            self.tick()
        except (RedisUnavailable, redis.RedisError) as error:
            self._failures += 1
            if self._failures == 1:
                log.warning("cannot work, trying again: %s", error)
            return min(_LAST_BACKOFF_S, _FIRST_BACKOFF_S * 2.0**self._failures)
        if self._failures:
            log.info("working again")
        self._failures = 0
        settings = self._settings
        # Three chances to keep the lead, however rare the rest is set.
        return min(settings.scaling_interval_ms, settings.reap_interval_ms, settings.leader_ttl_ms / 3) / 1000

    def tick(self) -> None:
        """One round of everything.

        Raises:
            RedisUnavailable: if the server does not answer.
            redis.ResponseError: if it refuses.
        """
        now = self._clock()
        view = self._connection.run(RedisOp(_server_view, ("INFO", "server")))
        if reason := self._guard.observe(view, now):
            log.info("%s: workers may renew their leases before any job is taken back", reason)
        if self._tidy_turn.has_come(now):
            # Not only by the leader: the mark that it leads by may be what has to be set right.
            _attempt(self._tidier.step)
        self._note(self._connection.run(self._leadership.take()))
        failpoint("scheduler.leading")
        if self.is_leading:
            if self._scaling_turn.has_come(now):
                _attempt(lambda: self._scaler.step(self._lead, now))
            if self._house_turn.has_come(now):
                self._keep_house(now)
        self._ticked_at = self._clock()

    def resign(self) -> None:
        """Give the lead back if it is ours and Redis answers."""
        if not self.is_leading:
            return
        try:
            self._connection.run(self._leadership.resign(self._lead))
        except (RedisUnavailable, redis.RedisError) as error:
            log.info("the lead will run out by itself: %s", error)
        self._lead = Lead(0, "")

    def _keep_house(self, now: float) -> None:
        acts = [self._housekeeper.expire, self._housekeeper.promote, self._window.step]
        if self._guard.may_reap(now):
            acts.insert(0, self._housekeeper.reap)
        for act in acts:
            _attempt(act)
        _attempt(lambda: self._sweeper.step(now))
        if self._usage_turn.has_come(now):
            _attempt(self._usage.step)

    def _note(self, lead: Lead) -> None:
        if lead == self._lead:
            return
        if lead.fence:
            log.info("leading as %s with fence %d", self.name, lead.fence)
        else:
            log.info("standing by: %s leads", lead.leader)
        self._lead = lead


def _attempt(act: Callable[[], object]) -> None:
    """One act that the server refuses, or that meets what nobody wrote, must not keep the others from their turn."""
    try:
        act()
    except redis.ResponseError as error:
        log.error("the server refused: %s", error)
    except (ValueError, LookupError):
        log.exception("what is in Redis cannot be understood")


def _server_view(reply: Reply) -> ServerView:
    lines = (line.partition(":") for line in reply.decode().splitlines())
    facts = {name: value for name, _, value in lines}
    return ServerView(
        run_id=facts["run_id"],
        uptime_s=int(facts["uptime_in_seconds"]),
        time_s=int(facts["server_time_usec"]) / 1e6,
    )
