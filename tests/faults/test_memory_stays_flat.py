"""Without any fault: however many jobs have gone through, Redis holds a window of them and no more."""

from collections.abc import Callable

import orjson
import pytest

from headrace.groups import group_of
from headrace.ids import new_job_id
from headrace.jobs import NewJob
from headrace.model_ref import ModelRef
from headrace.store_submissions import SubmitOutcome
from headrace.tiers import Tier
from tests.faults.cluster import Cluster, poll

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

ROUNDS = 16
#: At a time; what waits counts towards the server's memory too.
JOBS = 1500
#: For what has ended, on top of an empty server.
WINDOW_BYTES = 6 << 20
#: A round's jobs with their inputs and results, all at once.
ROUND_BYTES = JOBS * 2500


def test_a_window_of_what_ended_is_all_that_redis_holds(
    cluster: Cluster, ref: ModelRef, figure: Callable[[str], None]
) -> None:
    empty_bytes, empty_keys = used_bytes(cluster), keys(cluster)
    window = empty_bytes + WINDOW_BYTES
    cluster.settings = cluster.settings.model_copy(update={"hot_window_bytes": window})
    cluster.start_scheduler()
    cluster.start_worker("w0", serving=ref)

    used = []
    for number in range(1, ROUNDS + 1):
        run_a_round(cluster, ref, ended=number * JOBS)
        poll("back in its window", lambda: used_bytes(cluster) <= window)
        used.append(used_bytes(cluster))

    second_half = used[ROUNDS // 2 :]
    figure(f"memory after each {JOBS} jobs, MiB over an empty server: {[mib(b - empty_bytes) for b in used]}")
    assert max(used) <= window
    assert max(second_half) - min(second_half) <= ROUND_BYTES
    # Three keys a job at most, and each takes more than 200 bytes.
    assert keys(cluster) - empty_keys <= WINDOW_BYTES / 200


def run_a_round(cluster: Cluster, ref: ModelRef, *, ended: int) -> None:
    """Submit jobs and return once so many have ended since the beginning."""
    answers = cluster.redis.run_all(cluster.store.submit(new_job(cluster, ref, x), cap=JOBS + 1) for x in range(JOBS))
    assert {SubmitOutcome.ACCEPTED} == {answer.outcome for answer in answers}
    group = group_of(ref, Tier.STANDARD)
    poll("all ended", lambda: cluster.redis.run(cluster.store.counts(group)).ended >= ended, limit_s=60)


def new_job(cluster: Cluster, ref: ModelRef, x: int) -> NewJob:
    return NewJob(
        id=new_job_id(cell=cluster.settings.cell, tenant="default", key=b"test"),
        tenant="default",
        ref=ref,
        tier=Tier.STANDARD,
        input=orjson.dumps({"x": x, "sleep_ms": 0, "act": "answer"}),
    )


def used_bytes(cluster: Cluster) -> int:
    return int(cluster.redis.client.info("memory")["used_memory"])


def keys(cluster: Cluster) -> int:
    return int(cluster.redis.client.dbsize())


def mib(size_bytes: int) -> float:
    return round(size_bytes / (1 << 20), 1)
