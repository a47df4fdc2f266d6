"""Garbage in every key and queue: no process ends, and good jobs are done after each portion."""

import httpx2
import pytest

from bench.service import Service
from headrace.groups import group_of
from headrace.model_ref import ModelRef
from headrace.redis_op import RedisOp
from headrace.strays import typed_keys
from headrace.tiers import Tier
from tests.faults.cluster import Cluster, poll
from tests.faults.garbage import KINDS, LARGE, VALUES, fuzz, messages, our_keys, pour
from workers.app import PLAIN_QUEUE, make_app

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

Processes = dict[str, Service]

#: What kombu keeps beside the queues.
CELERY_KEYS = (
    *("unacked", "unacked_index", "unacked_mutex", PLAIN_QUEUE),
    *(f"_kombu.binding.{exchange}" for exchange in (PLAIN_QUEUE, "celery.pidbox", "reply.celery.pidbox", "celeryev")),
)


@pytest.fixture
def processes(cluster: Cluster, ref: ModelRef) -> Processes:
    worker = cluster.start_worker("w0", serving=ref)
    return {"api": cluster.start_api(), "scheduler": cluster.start_scheduler(), "worker": worker}


def test_the_corpus_is_worth_its_name() -> None:
    assert len(set(VALUES)) >= 50
    assert len(set(messages())) >= 300
    assert len(LARGE) >= 10_000_000


@pytest.mark.faults
def test_garbage_in_any_key_of_ours_stops_nobody(cluster: Cluster, ref: ModelRef, processes: Processes) -> None:
    keys = dict(our_keys(cluster.store.keys, group=group_of(ref, Tier.STANDARD)))

    for name, key in keys.items():
        for kind in KINDS:
            if (name, kind) == ("api_keys", "hash"):
                continue  # whatever lies there might be the key of another version: it closes the door, see below
            pour(cluster.redis.client, key, kind, VALUES)
            verify_a_good_job_is_done(cluster, processes)
    shared = typed_keys(cluster.store.keys, groups=[group_of(ref, Tier.STANDARD)], tenants=["default"], workers=[])
    for key, kind in shared:
        pour(cluster.redis.client, key, "list" if kind == "string" else "string", VALUES)

    # The job makes its tenant and its queue known again, so that their keys are looked at.
    verify_a_good_job_is_done(cluster, processes)
    poll("all set apart", lambda: all(type_of(cluster, key) in (kind, "none") for key, kind in shared))
    assert strays(cluster) > 0


def test_what_might_be_a_key_closes_the_door_and_stops_nobody(cluster: Cluster, processes: Processes) -> None:
    verify_a_good_job_is_done(cluster, processes)

    pour(cluster.redis.client, cluster.store.keys.api_keys, "hash", VALUES)

    poll("the door is closed", lambda: str(answer(cluster, 7)).startswith("401"))
    assert dict.fromkeys(processes, True) == {name: process.is_running for name, process in processes.items()}


def type_of(cluster: Cluster, key: str) -> str:
    return cluster.redis.run(RedisOp(lambda reply: str(reply, "utf-8"), ("TYPE", key)))


def test_garbage_where_everybody_looks_stops_nobody(cluster: Cluster, ref: ModelRef, processes: Processes) -> None:
    keys = cluster.store.keys
    ready = keys.ready(group_of(ref, Tier.STANDARD), "default")

    for key, kind in ((keys.leases, "string"), (ready, "hash"), (keys.groups, "zset"), (keys.leader, "string")):
        pour(cluster.redis.client, key, kind, VALUES)
        verify_a_good_job_is_done(cluster, processes)
    pour(cluster.redis.client, PLAIN_QUEUE, "list", messages())

    verify_a_good_job_is_done(cluster, processes)
    verify_plain_tasks_are_taken(cluster)
    assert strays(cluster) >= len(VALUES)


@pytest.mark.faults
def test_garbage_in_any_queue_of_celerys_stops_nobody(cluster: Cluster, processes: Processes) -> None:
    redis = cluster.redis.client
    for key in CELERY_KEYS:
        for kind in KINDS:
            pour(redis, key, kind, messages() if key == PLAIN_QUEUE else VALUES)
            verify_a_good_job_is_done(cluster, processes)
            verify_plain_tasks_are_taken(cluster)
    for channel in redis.pubsub_channels():
        for message in messages():
            redis.publish(channel, message)

    verify_a_good_job_is_done(cluster, processes)
    verify_plain_tasks_are_taken(cluster)
    assert strays(cluster) >= 100


@pytest.mark.faults
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_message_stops_anybody(cluster: Cluster, processes: Processes, seed: int) -> None:
    pour(cluster.redis.client, PLAIN_QUEUE, "list", list(fuzz(seed, 300)))

    verify_plain_tasks_are_taken(cluster)
    verify_a_good_job_is_done(cluster, processes)
    assert strays(cluster) > 30


def verify_a_good_job_is_done(cluster: Cluster, processes: Processes) -> None:
    answers: list[object] = []

    def is_done() -> bool:
        answers.append(answer(cluster, 7))
        return answers[-1] == 50

    try:
        poll("a good job done", is_done, limit_s=60)
    except AssertionError as error:
        raise AssertionError(f"{error}; the last answers: {answers[-3:]}") from None
    assert dict.fromkeys(processes, True) == {name: process.is_running for name, process in processes.items()}


def answer(cluster: Cluster, x: int) -> object:
    """What a new job comes to: its result, else what came instead of one within a second."""
    body = {"model": "exact", "input": {"x": x}}
    try:
        reply = httpx2.post(f"{cluster.settings.url}/v1/jobs", json=body, headers={"Prefer": "wait=1"}, timeout=10)
        return reply.json().get("result") if reply.status_code == 200 else f"{reply.status_code}: {reply.text}"
    except (httpx2.TransportError, ValueError) as error:
        return error


def verify_plain_tasks_are_taken(cluster: Cluster) -> None:
    """What is in Celery's queue is taken out, the good and the bad."""
    redis = cluster.redis.client
    poll("the queue is one", lambda: redis.type(PLAIN_QUEUE) in (b"list", b"none"))
    with make_app(cluster.settings) as app:
        app.send_task("headrace.job", queue=PLAIN_QUEUE)
    poll("plain tasks taken", lambda: redis.llen(PLAIN_QUEUE) == 0, limit_s=90)


def strays(cluster: Cluster) -> int:
    return int(cluster.redis.client.hget(cluster.store.keys.stats, "strays") or 0)
