"""From no worker to the first: the scheduler does not wait for its next round."""

import select
import threading
from collections.abc import Iterator

import pytest

from headrace.keys import Keys
from headrace.model_ref import ModelRef
from headrace.settings import Settings
from headrace.sync_redis import SyncRedis
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass
from scheduler.loop import Scheduler
from scheduler.observation import ClassLoad, Observation, QueueLoad
from scheduler.stop_signal import StopSignal
from scheduler.wake import Wake, unserved
from tests.integration.engine_rig import wait_until
from tests.integration.script_cell import STANDARD, Cell

LIMIT_S = 30.0
REF = ModelRef("m", 1)
CLASSES = {
    "on-demand": WorkerClass(min_workers=0, max_workers=2, tiers=(Tier.PRIORITY, Tier.STANDARD)),
    "spot": WorkerClass(min_workers=0, max_workers=2, tiers=(Tier.SPOT, Tier.STANDARD)),
}


def seen(*tiers: Tier) -> Observation:
    queues = tuple(QueueLoad(REF, tier, 0, 0, 0.0) for tier in tiers)
    return Observation(queues, dict.fromkeys(CLASSES, ClassLoad()))


def test_queues_that_no_wanted_class_serves_are_listened_to() -> None:
    everything = seen(*Tier)

    assert ("m@1:spot",) == unserved(everything, {"on-demand": 1, "spot": 0}, CLASSES)
    assert ("m@1:priority",) == unserved(everything, {"on-demand": 0, "spot": 1}, CLASSES)
    assert len(Tier) == len(unserved(everything, {"on-demand": 0, "spot": 0}, CLASSES))


def test_a_queue_that_no_class_may_ever_serve_is_not_listened_to() -> None:
    only_spot = {"spot": CLASSES["spot"]}

    assert () == unserved(seen(Tier.PRIORITY), {"spot": 0}, only_spot)


@pytest.fixture
def wake(redis_url: str, keys: Keys) -> Iterator[Wake]:
    wake = Wake(url=redis_url, keys=keys)
    wake.start()
    yield wake
    wake.close()


@pytest.fixture
def cell(connection: SyncRedis, keys: Keys) -> Cell:
    return Cell(connection=connection, keys=keys)


def rings(wake: Wake, within_s: float = LIMIT_S) -> bool:
    select.select([wake.ring], [], [], within_s)
    return wake.take()


def test_the_first_job_of_a_queue_rings(wake: Wake, cell: Cell) -> None:
    wake.listen_to((STANDARD,))

    cell.submit("j1")

    assert rings(wake)


def test_a_job_that_came_before_anybody_listened_rings_too(wake: Wake, cell: Cell) -> None:
    cell.submit("j1")

    wake.listen_to((STANDARD,))

    assert rings(wake)


def test_one_ring_is_heard_once(wake: Wake, cell: Cell) -> None:
    wake.listen_to((STANDARD,))
    cell.submit("j1")
    assert rings(wake)

    assert not rings(wake, within_s=0.5)


def test_what_is_served_again_is_not_heard(wake: Wake, cell: Cell) -> None:
    wake.listen_to(())

    cell.submit("j1")

    assert not rings(wake, within_s=0.5)


def test_the_first_job_after_a_silence_starts_a_worker_though_the_next_round_is_far_away(
    redis_url: str, keys: Keys, connection: SyncRedis, wake: Wake, cell: Cell
) -> None:
    cell.submit("known")
    [lease] = cell.take()
    cell.commit([lease])
    settings = Settings(redis_url=redis_url, cell=keys.cell, scaling_interval_ms=600_000, worker_classes=CLASSES)
    own = SyncRedis(url=redis_url)
    scheduler, stop = Scheduler(settings=settings, connection=own, wake=wake), StopSignal()
    thread = threading.Thread(target=scheduler.run, args=[stop])
    thread.start()
    try:
        wait_until(lambda: connection.client.hget(keys.desired, "on-demand") == b"0", limit_s=LIMIT_S)

        cell.submit("first")

        wait_until(lambda: connection.client.hget(keys.desired, "on-demand") == b"1", limit_s=LIMIT_S)
    finally:
        stop.request()
        thread.join()
        stop.close()
        own.close()
