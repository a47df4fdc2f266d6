"""A scheduler frozen or killed between deciding and acting: another leads, and the first one's decision is void."""

import os
import signal

import pytest

from bench.service import Service
from headrace.redis_op import RedisOp, Reply
from headrace.scaling import ScalingReport
from tests.faults.cluster import Cluster, poll

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

#: Long enough that a frozen leader is not followed by accident while the test looks.
LEAD_MS = 8_000


def test_a_leader_that_was_frozen_between_deciding_and_acting_writes_nothing(cluster: Cluster) -> None:
    cluster.settings = cluster.settings.model_copy(update={"leader_ttl_ms": LEAD_MS})
    first = cluster.start_scheduler()
    poll("decided once", lambda: _report(cluster) is not None)
    cluster.arm("scheduler.decided", "stop")
    poll("frozen", lambda: cluster.fired("scheduler.decided") == first.pid)
    second = cluster.spawn("scheduler")
    poll("another has decided", lambda: _decided_by(cluster, second))

    os.kill(second.pid, signal.SIGSTOP)
    os.kill(first.pid, signal.SIGCONT)
    poll("the first one stands by", lambda: b"standing by" in _log_of(first))

    assert _decided_by(cluster, second)


def test_a_leader_killed_between_deciding_and_acting_is_followed(cluster: Cluster) -> None:
    first = cluster.start_scheduler()
    second = cluster.spawn("scheduler")

    cluster.arm("scheduler.decided", "kill9")
    poll("killed", lambda: cluster.fired("scheduler.decided") is not None)
    dead, other = (first, second) if cluster.fired("scheduler.decided") == first.pid else (second, first)

    poll("the other decides", lambda: _decided_by(cluster, other))
    assert not dead.is_running


def _report(cluster: Cluster) -> ScalingReport | None:
    raw = cluster.redis.run(RedisOp(_as_is, ("GET", cluster.store.keys.scaling)))
    return None if raw is None else ScalingReport.model_validate_json(raw)


def _as_is(reply: Reply) -> bytes | None:
    return None if reply is None else bytes(reply)


def _decided_by(cluster: Cluster, scheduler: Service) -> bool:
    report = _report(cluster)
    return report is not None and f"-{scheduler.pid}-" in report.scheduler


def _log_of(scheduler: Service) -> bytes:
    """Both write to one file; only one of them can say that it stands by."""
    return scheduler.log.read_bytes()
