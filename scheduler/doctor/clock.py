"""The clock of Redis against this host's: deadlines are read here and judged there."""

import time

from headrace.redis_op import RedisOp, Reply
from headrace.sync_redis import SyncRedis
from scheduler.doctor.finding import Finding, fail, ok, warn

_NOTABLE_S, _BAD_S = 0.5, 5.0


def look_at_clock(connection: SyncRedis) -> Finding:
    """Compare; half a round trip is allowed for.

    Raises:
        RedisUnavailable: if the server does not answer.
    """
    before = time.time()
    theirs = connection.run(RedisOp(_seconds, ("TIME",)))
    return judge_skew(theirs - (before + time.time()) / 2)


def judge_skew(skew_s: float) -> Finding:
    """What is to be said of a difference; positive if Redis is ahead."""
    detail = f"Redis is {abs(skew_s):.3f} s {'ahead' if skew_s > 0 else 'behind'}"
    advice = "let NTP set the clocks of both hosts: deadlines and `not_before` are off by that much"
    if abs(skew_s) > _BAD_S:
        return fail("clock", detail, advice)
    return warn("clock", detail, advice) if abs(skew_s) > _NOTABLE_S else ok("clock", detail)


def _seconds(reply: Reply) -> float:
    return int(reply[0]) + int(reply[1]) / 1e6
