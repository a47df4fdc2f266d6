"""What the scheduler sees in Redis, what it decides and writes down."""

from typing import Any

import pytest

from headrace.groups import group_of
from headrace.homes import Manners, read_manners
from headrace.keys import Keys
from headrace.model_ref import ModelRef
from headrace.presence import GroupLoad, ModelPresence, ModelState, WorkerPresence, WorkerState
from headrace.scaling import ScalingChange, ScalingReport
from headrace.settings import Settings
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass
from scheduler.leadership import Lead, Leadership
from scheduler.observation import ClassLoad, QueueLoad
from scheduler.observer import Observer
from scheduler.scaler import Scaler
from tests.integration.script_cell import REF, STANDARD, Cell

GPU = WorkerClass(min_workers=0, max_workers=4)


@pytest.fixture
def cell(connection: SyncRedis, keys: Keys) -> Cell:
    return Cell(connection=connection, keys=keys)


@pytest.fixture
def observer(connection: SyncRedis, store: JobStore) -> Observer:
    return Observer(store=store, connection=connection, classes={"gpu": GPU})


def speak(cell: Cell, name: str, **changes: Any) -> None:
    """A worker says of itself what is given."""
    known: dict[str, Any] = {
        "id": name,
        "worker_class": "gpu",
        "host": "h",
        "pid": 1,
        "device": "cpu",
        "tiers": tuple(Tier),
        "state": WorkerState.READY,
        "started_ms": 1_000,
        "models": {str(REF): ModelPresence(state=ModelState.READY)},
    }
    presence = WorkerPresence(**(known | changes))
    cell.redis.set(cell.keys.worker(name), presence.to_bytes())
    cell.redis.zadd(cell.keys.workers, {name: 1})


def test_an_empty_cell_has_idle_classes(observer: Observer) -> None:
    seen = observer.observe(0.0)

    assert seen.queues == ()
    assert seen.classes == {"gpu": ClassLoad()}


def test_queues_are_seen_with_what_waits_what_is_held_and_what_arrives(cell: Cell, observer: Observer) -> None:
    cell.submit("first")
    observer.observe(0.0)
    for i in range(10):
        cell.submit(f"j{i}")
    speak(cell, "w1", groups={STANDARD: GroupLoad(held=3, running=1)})

    [queue] = observer.observe(1000.0).queues

    assert queue._replace(arrivals=0.0, arrived=0.0, oldest_age_s=0.0) == QueueLoad(REF, Tier.STANDARD, 11, 3, 0.0)
    assert queue.arrived == pytest.approx(0.01)
    assert queue.arrivals == pytest.approx(0.01)


def test_a_queue_that_is_paused_counts_as_nothing_but_what_workers_hold_of_it(cell: Cell, observer: Observer) -> None:
    observer.observe(0.0)
    for i in range(10):
        cell.submit(f"j{i}", deadline_ms=cell.now_ms() + 8_000)
    cell.fail(cell.take_and_start(jobs=2), outgrown_bytes=4_000_000_000)
    speak(cell, "w1", groups={STANDARD: GroupLoad(held=3, running=1)})
    cell.pause()

    seen = observer.observe(10.0)

    assert [0, 0] == [queue.waiting for queue in seen.queues]
    assert {3, 0} == {queue.held for queue in seen.queues}
    assert {(0.0, 0.0, 0.0, ())} == {(q.arrivals, q.arrived, q.oldest_age_s, q.dues) for q in seen.queues}
    assert {STANDARD: 10} == seen.paused


def test_no_worker_is_started_for_a_queue_that_is_paused_and_some_are_when_it_goes_on(
    connection: SyncRedis, keys: Keys, leadership: Leadership, lead: Lead, cell: Cell
) -> None:
    scaler = scaler_of(connection, keys, leadership)
    scaler.step(lead, 0.0)
    for i in range(1000):
        cell.submit(f"j{i}")
    cell.pause()

    scaler.step(lead, 1000.0)
    paused = cell.redis.hget(keys.desired, "gpu")
    [reasons] = [row.reasons for row in ScalingReport.model_validate_json(cell.redis.get(keys.scaling)).classes]
    cell.resume()
    scaler.step(lead, 1001.0)

    assert b"0" == paused
    assert f"1000 jobs wait in {STANDARD}, which is paused" in reasons
    assert int(cell.redis.hget(keys.desired, "gpu")) > 0


def test_the_age_of_the_oldest_job_that_waits_is_seen_and_shown(
    connection: SyncRedis, keys: Keys, leadership: Leadership, lead: Lead, cell: Cell
) -> None:
    cell.submit("old")
    cell.redis.hset(keys.job("default/old"), "q", cell.now_ms() - 90_000)

    scaler_of(connection, keys, leadership).step(lead, 0.0)

    [row] = ScalingReport.model_validate_json(cell.redis.get(keys.scaling)).classes
    assert 90 <= row.oldest_age_s < 120


def test_workers_are_seen_by_how_far_they_have_come(cell: Cell, observer: Observer) -> None:
    loading = {str(REF): ModelPresence(state=ModelState.LOADING)}
    speak(cell, "ready", ready_ms=4_500)
    speak(cell, "loading", models=loading)
    speak(cell, "starting", models={}, state=WorkerState.STARTING)
    speak(cell, "draining", state=WorkerState.DRAINING)
    speak(cell, "other", worker_class="cpu")
    cell.redis.hset(cell.keys.desired, "gpu", 3)

    seen = observer.observe(0.0).classes["gpu"]

    assert seen == ClassLoad(ready=1, starting=2, draining=1, desired=3, cold_start_s=3.5)


def test_the_time_of_a_job_is_what_workers_measured_else_the_average_since_ever(cell: Cell, observer: Observer) -> None:
    other = ModelRef("other", 1)
    speak(cell, "w1", models={str(REF): ModelPresence(state=ModelState.READY, job_s=0.25)})
    cell.redis.zadd(cell.keys.groups, {group_of(other, Tier.SPOT): 1})
    cell.redis.hset(cell.keys.queue(group_of(other, Tier.SPOT)), mapping={"ended": 10, "run_ms": 5_000})

    assert observer.observe(0.0).classes["gpu"].job_s == {str(REF): 0.25, str(other): 0.5}


def test_the_time_of_a_pass_is_the_mean_of_those_that_workers_ran(cell: Cell, observer: Observer) -> None:
    speak(cell, "w1", models={str(REF): ModelPresence(state=ModelState.READY, passes=4, busy_s=2.0)})
    speak(cell, "w2", models={str(REF): ModelPresence(state=ModelState.READY)})

    assert observer.observe(0.0).classes["gpu"].pass_s == {str(REF): 0.5}


@pytest.fixture
def leadership(keys: Keys) -> Leadership:
    return Leadership(keys=keys, scheduler="s1", ttl_ms=60_000)


@pytest.fixture
def lead(connection: SyncRedis, leadership: Leadership) -> Lead:
    return connection.run(leadership.take())


def scaler_of(connection: SyncRedis, keys: Keys, leadership: Leadership) -> Scaler:
    settings = Settings(cell=keys.cell, worker_classes={"gpu": GPU})
    return Scaler(settings=settings, connection=connection, store=JobStore(keys), leadership=leadership)


def changes(cell: Cell) -> list[ScalingChange]:
    entries = cell.redis.xrange(cell.keys.scaling_log)
    return [ScalingChange.model_validate_json(fields[b"change"]) for _, fields in entries]


def test_a_decision_is_written_down_with_its_reasons(
    connection: SyncRedis, keys: Keys, leadership: Leadership, lead: Lead, cell: Cell
) -> None:
    cell.submit("a")

    scaler_of(connection, keys, leadership).step(lead, 0.0)

    [row] = ScalingReport.model_validate_json(cell.redis.get(keys.scaling)).classes
    assert (row.worker_class, row.count, row.jobs) == ("gpu", 1, 1)
    assert "1 jobs of standard" in row.reasons[0]
    assert cell.redis.hgetall(keys.desired) == {b"gpu": b"1"}


def test_only_changes_are_logged(
    connection: SyncRedis, keys: Keys, leadership: Leadership, lead: Lead, cell: Cell
) -> None:
    scaler = scaler_of(connection, keys, leadership)

    scaler.step(lead, 0.0)
    scaler.step(lead, 0.5)
    cell.submit("a")
    scaler.step(lead, 1.0)

    assert [("gpu", 0, 1)] == [(c.worker_class, c.before, c.after) for c in changes(cell)]


def test_a_second_scheduler_goes_on_with_what_the_first_asked_for(
    connection: SyncRedis, keys: Keys, leadership: Leadership, lead: Lead, cell: Cell
) -> None:
    cell.submit_many(4_000)
    scaler_of(connection, keys, leadership).step(lead, 0.0)
    connection.run(leadership.resign(lead))
    second = Leadership(keys=keys, scheduler="s2", ttl_ms=60_000)
    cell.redis.delete(cell.keys.turn(STANDARD))

    scaler_of(connection, keys, second).step(connection.run(second.take()), 0.0)

    assert cell.redis.hgetall(keys.desired) == {b"gpu": b"4"}
    assert len(changes(cell)) == 1


def test_when_spot_machines_cannot_be_had_others_stand_in_after_a_grace(
    connection: SyncRedis, keys: Keys, leadership: Leadership, lead: Lead, cell: Cell
) -> None:
    spot = WorkerClass(min_workers=2, max_workers=4, tiers=(Tier.STANDARD,), is_spot=True)
    settings = Settings(cell=keys.cell, worker_classes={"gpu": GPU, "spot": spot})
    scaler = Scaler(settings=settings, connection=connection, store=JobStore(keys), leadership=leadership)

    scaler.step(lead, 0.0)
    before = cell.redis.hgetall(keys.desired)
    scaler.step(lead, 61.0)

    assert {b"gpu": b"0", b"spot": b"2"} == before
    assert {b"gpu": b"2", b"spot": b"2"} == cell.redis.hgetall(keys.desired)
    assert "2 stand in for spot, of which 0 of 2 are ready" in changes(cell)[-1].reason


def test_workers_are_told_what_to_leave_to_a_class_that_does_it_for_less(
    connection: SyncRedis, keys: Keys, leadership: Leadership, lead: Lead, cell: Cell
) -> None:
    classes = {
        "gpu": GPU.model_copy(update={"price_per_hour": 1.0}),
        "cpu": GPU.model_copy(update={"price_per_hour": 0.5}),
    }
    settings = Settings(cell=keys.cell, worker_classes=classes)
    for name, job_s in (("gpu", 0.1), ("cpu", 0.9)):
        speak(cell, name, worker_class=name, models={str(REF): ModelPresence(state=ModelState.READY, job_s=job_s)})
    cell.submit("a")

    Scaler(settings=settings, connection=connection, store=JobStore(keys), leadership=leadership).step(lead, 0.0)

    assert Manners(left=(STANDARD,)) == read_manners(cell.redis.get(keys.homes), "cpu")
    assert 0 < cell.redis.pttl(keys.homes) <= 5_000
    [gpu, cpu] = ScalingReport.model_validate_json(cell.redis.get(keys.scaling)).classes
    assert (1, 0) == (gpu.jobs, cpu.jobs)
    assert "1000 jobs of m@1 cost 0.0278 here, 0.125 on cpu" in gpu.reasons


def test_deadlines_closer_than_the_objective_are_seen_and_scaled_for(
    connection: SyncRedis, keys: Keys, leadership: Leadership, lead: Lead, cell: Cell
) -> None:
    patient = GPU.model_copy(update={"wait_objective_s": 3600.0, "max_workers": 9})
    settings = Settings(cell=keys.cell, worker_classes={"gpu": patient})
    speak(cell, "w1", models={str(REF): ModelPresence(state=ModelState.READY, job_s=30.0)})
    for number in range(20):
        cell.submit(f"j{number}", deadline_ms=cell.now_ms() + 200_000)

    Scaler(settings=settings, connection=connection, store=JobStore(keys), leadership=leadership).step(lead, 0.0)

    # 600 s of work are due in 200 s.
    [row] = ScalingReport.model_validate_json(cell.redis.get(keys.scaling)).classes
    assert 4 == row.count
    assert [reason for reason in row.reasons if reason.startswith("600.0 s of work are due in")]


def test_the_next_scheduler_knows_what_jobs_took_on_workers_that_are_gone(
    connection: SyncRedis, keys: Keys, leadership: Leadership, lead: Lead, cell: Cell
) -> None:
    cell.submit("a")
    speak(cell, "w1", models={str(REF): ModelPresence(state=ModelState.READY, job_s=0.123456)})
    scaler_of(connection, keys, leadership).step(lead, 0.0)
    connection.run(leadership.resign(lead))
    cell.redis.delete(keys.worker("w1"), keys.workers)
    second = Leadership(keys=keys, scheduler="s2", ttl_ms=60_000)

    scaler_of(connection, keys, second).step(connection.run(second.take()), 0.0)

    [row] = ScalingReport.model_validate_json(cell.redis.get(keys.scaling)).classes
    assert {str(REF): 0.1235} == row.job_s


def test_versions_that_no_worker_of_a_class_can_load_and_what_they_hold_are_seen(
    cell: Cell, observer: Observer
) -> None:
    failed = ModelPresence(state=ModelState.FAILED, error="no memory")
    speak(cell, "w1", models={"a@1": failed, "b@1": failed}, groups={STANDARD: GroupLoad(held=3, running=1)})
    speak(cell, "w2", models={"b@1": ModelPresence(state=ModelState.READY, job_s=0.5)})

    seen = observer.observe(0.0).classes["gpu"]

    assert [{"a@1"}, {"b@1"}, {STANDARD}] == [set(seen.unable), set(seen.ran), set(seen.holds)]


def test_a_job_that_spot_machines_would_end_too_late_is_moved_and_scaled_for_elsewhere(
    connection: SyncRedis, keys: Keys, leadership: Leadership, lead: Lead, cell: Cell
) -> None:
    urgent = WorkerClass(min_workers=0, max_workers=4, tiers=(Tier.PRIORITY, Tier.STANDARD))
    spot = WorkerClass(min_workers=0, max_workers=4, tiers=(Tier.SPOT,), is_spot=True)
    settings = Settings(cell=keys.cell, worker_classes={"gpu": urgent, "spot": spot})
    scaler = Scaler(settings=settings, connection=connection, store=JobStore(keys), leadership=leadership)
    for job_id, in_ms in (("soon", 5_000), ("late", 600_000)):
        cell.submit(job_id, tier=Tier.SPOT, deadline_ms=cell.now_ms() + in_ms)

    scaler.step(lead, 0.0)
    before = cell.redis.hgetall(keys.desired)
    scaler.step(lead, 1.0)

    assert {b"gpu": b"0", b"spot": b"1"} == before
    assert {b"gpu": b"1", b"spot": b"1"} == cell.redis.hgetall(keys.desired)
    assert (Tier.STANDARD, Tier.SPOT) == (cell.job("default/soon").tier, cell.job("default/late").tier)


def test_who_lost_the_lead_changes_nothing(
    connection: SyncRedis, keys: Keys, leadership: Leadership, lead: Lead, cell: Cell
) -> None:
    connection.run(leadership.resign(lead))
    cell.submit("a")

    scaler_of(connection, keys, leadership).step(lead, 0.0)

    assert cell.redis.hgetall(keys.desired) == {}
    assert changes(cell) == []
