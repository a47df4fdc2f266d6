"""Each metric is documented, is named as Prometheus likes it, and says what is so."""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from api.metrics import ApiCollector, RequestMeter
from headrace.eta import Forecaster
from headrace.jobs import Cause, JobStatus
from headrace.keys import Keys
from headrace.presence import GroupLoad, ModelPresence, ModelState, WorkerPresence, WorkerState
from headrace.settings import Settings
from headrace.store import JobStore
from headrace.store_work import Outcome
from headrace.sync_redis import SyncRedis
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass
from scheduler import fleet
from scheduler.loop import Scheduler
from scheduler.metrics import STATS, SchedulerCollector
from tests.integration.script_cell import OUTGROWN, REF, SPOT, Cell
from workers.frames import PassReport
from workers.metrics import CourierCollector, WorkerCollector, WorkerFigures
from workers.tally import Tally
from workers.webhooks.tally import DeliveryTally

CHECKOUT = Path(__file__).resolve().parents[2]
PAGE = (CHECKOUT / "docs" / "metrics.md").read_text()
ROW = re.compile(r"^\| `(headrace_\w+)` \| (\w+) \|([^|]*)\|", re.MULTILINE)
#: What the type of a family adds to its name in a scrape.
SUFFIX = {"counter": "_total", "info": "_info"}


def presence() -> WorkerPresence:
    return WorkerPresence(
        id="w",
        worker_class="spot",
        node="spot-1",
        host="here",
        pid=1,
        device="cpu",
        tiers=(Tier.SPOT,),
        state=WorkerState.READY,
        started_ms=1,
        models={
            "m@1": ModelPresence(state=ModelState.READY),
            "n@1": ModelPresence(state=ModelState.LOADING, cold=True, parked=True, host_bytes=4_000_000),
            "n@2": ModelPresence(state=ModelState.LOADING, cold=True, parked=True, host_bytes=1_000_000),
        },
        groups={"m@1:spot": GroupLoad(held=3, running=2)},
        jobs_held=3,
    )


def worker(tally: Tally | None = None) -> WorkerCollector:
    figures = WorkerFigures(
        presence=presence(), tally=tally or Tally(), claims=7, refused=1, resent=2, child_deaths=3, loop_age_s=0.5
    )
    return WorkerCollector(lambda: figures)


def api(meter: RequestMeter | None = None) -> ApiCollector:
    return ApiCollector(
        meter=meter or RequestMeter(),
        waiting=lambda: 4,
        connections=lambda: 5,
        dropped={"silent": 6},
        is_hearing=lambda: True,
        forecasters={"m@1": Forecaster()},
    )


@pytest.fixture
def scheduler(redis_url: str, keys: Keys, connection: SyncRedis) -> SchedulerCollector:
    settings = Settings(redis_url=redis_url, cell=keys.cell)
    classes = {"gold": WorkerClass(tiers=(Tier.PRIORITY,), wait_objective_s=2.5)}
    return SchedulerCollector(
        scheduler=Scheduler(settings=settings, connection=connection),
        store=JobStore(keys),
        connection=connection,
        classes=classes,
    )


@pytest.fixture
def families(scheduler: SchedulerCollector) -> dict[str, Metric]:
    """Every family of every process, by its name in a scrape."""
    collectors: tuple[Collector, ...] = (api(), worker(), CourierCollector(DeliveryTally()), scheduler)
    return {
        family.name + SUFFIX.get(family.type, ""): family for collector in collectors for family in collector.collect()
    }


def values(collector: Collector) -> Mapping[str, float]:
    """Sample -> value, written as Prometheus does."""
    return {
        sample.name + "".join(f"{{{value}}}" for value in sample.labels.values()): sample.value
        for family in collector.collect()
        for sample in family.samples
    }


# --- names


def test_each_metric_is_documented_with_its_type_and_each_documented_one_exists(families: dict[str, Metric]) -> None:
    documented = {name: kind for name, kind, _ in ROW.findall(PAGE)}

    assert {name: family.type for name, family in families.items()} == documented


def test_each_label_is_documented(scheduler: SchedulerCollector) -> None:
    tally, deliveries, meter = Tally(), DeliveryTally(), RequestMeter()
    tally.passed("m@1", 1, PassReport(took_s=1, staged_s=0, cost=1, items=1, runs=1, padding=0))
    tally.failed("m@1", [Cause.INPUT])
    deliveries.attempted("http_200", 0.1)
    meter.note({"method": "GET"}, 200, 0.1)
    documented = {name: set(re.findall(r"`(\w+)`", labels)) for name, _, labels in ROW.findall(PAGE)}

    for collector in (api(meter), worker(tally), CourierCollector(deliveries), scheduler):
        for family in collector.collect():
            for sample in family.samples:
                name = family.name + SUFFIX.get(family.type, "")
                assert set(sample.labels) - {"le"} == documented[name], name


def test_names_follow_the_habit(families: dict[str, Metric]) -> None:
    for name, family in families.items():
        assert name.startswith("headrace_")
        assert not re.search(r"_(ms|milliseconds|kb|mb|seconds_total)$", name), name
        assert name.endswith("_total") == (family.type == "counter"), name
        assert family.documentation


def test_each_counter_that_a_script_keeps_is_a_metric() -> None:
    scripts = "".join(path.read_text() for path in (CHECKOUT / "headrace" / "lua").rglob("*.lua"))
    kept = set(re.findall(r"'HINCRBY', STATS, '(\w+)'", scripts))

    assert kept - {"hooks_", "hooks_lost"} == set(STATS)


# --- values


def test_the_scheduler_shows_what_waits_and_what_was_done(scheduler: SchedulerCollector, cell: Cell) -> None:
    for name in ("a", "b", "c"):
        cell.submit(name)
    cell.submit("d", tier=Tier.SPOT)
    cell.pause(SPOT)
    [lease] = cell.take_and_start(jobs=1)
    cell.run(cell.store.commit([Outcome(lease, JobStatus.SUCCEEDED, None, b"1")], ran_ms=1500, result_ttl_s=60))

    seen = values(scheduler)

    queue = f"{{{REF}}}{{standard}}"
    assert seen[f"headrace_queue_depth{queue}"] == 2
    assert seen[f"headrace_queue_oldest_age_seconds{queue}"] >= 0
    assert (seen[f"headrace_queue_paused{queue}"], seen[f"headrace_queue_paused{{{REF}}}{{spot}}"]) == (0, 1)
    assert seen[f"headrace_jobs_accepted_total{queue}"] == 3
    assert seen[f"headrace_job_wait_seconds_count{queue}"] == 1
    assert seen[f"headrace_job_service_seconds_sum{queue}"] == 1.5
    assert seen["headrace_redis_up"] == 1
    assert seen["headrace_redis_memory_bytes"] > 100_000


def test_what_has_outgrown_a_size_of_workers_is_shown_with_the_others_of_its_queue(
    scheduler: SchedulerCollector, cell: Cell
) -> None:
    cell.submit("a")
    cell.fail(cell.take_and_start(), outgrown_bytes=OUTGROWN)
    cell.submit("b")

    seen = values(scheduler)

    queue = f"{{{REF}}}{{standard}}"
    assert (seen[f"headrace_queue_depth{queue}"], seen[f"headrace_jobs_accepted_total{queue}"]) == (2, 2)


def test_the_scheduler_shows_workers_objectives_and_incidents(
    scheduler: SchedulerCollector, connection: SyncRedis, keys: Keys
) -> None:
    client = connection.client
    client.set(keys.worker("w"), presence().to_bytes())
    client.zadd(keys.workers, {"w": 1})
    client.hset(keys.desired, mapping={"spot": 2})
    client.hset(keys.stats, mapping={"rescued": 5, "hooks_failed": 4, "garbage": "x"})
    client.zadd(keys.outbox, {"default/j:1": 1})

    seen = values(scheduler)

    assert (seen["headrace_workers_desired{spot}"], seen["headrace_workers{spot}{ready}"]) == (2, 1)
    assert seen["headrace_workers{spot}{starting}"] == 0
    assert seen["headrace_jobs_held"] == 3
    assert seen["headrace_wait_objective_seconds{gold}{priority}"] == 2.5
    assert seen["headrace_jobs_rescued_total"] == 5
    assert seen["headrace_webhook_deliveries_total{failed}"] == 4
    assert seen["headrace_webhook_outbox"] == 1
    assert seen["headrace_webhook_overdue_seconds"] > 1e6


def test_only_so_many_queues_are_shown_the_newest(
    scheduler: SchedulerCollector, connection: SyncRedis, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "MOST_QUEUES", 3)
    connection.client.zadd(keys.groups, {f"m@{i}:spot": i for i in range(1, 10)} | {"no group at all": 0})

    shown = Counter(name.partition("{")[2] for name in values(scheduler) if name.startswith("headrace_queue_depth"))

    assert set(shown) == {"m@7}{spot}", "m@8}{spot}", "m@9}{spot}"}


def test_without_redis_the_scheduler_still_says_how_it_is(keys: Keys, connection: SyncRedis) -> None:
    nowhere = SyncRedis(url="redis://127.0.0.1:1/0", timeout_s=0.5)
    scheduler = Scheduler(settings=Settings(cell=keys.cell), connection=connection)

    seen = values(
        SchedulerCollector(scheduler=scheduler, store=JobStore(keys), connection=nowhere, classes={"a": WorkerClass()})
    )

    assert (seen["headrace_redis_up"], seen["headrace_scheduler_leading"]) == (0, 0)
    assert not any(name.startswith("headrace_queue") for name in seen)


def test_what_nobody_of_ours_wrote_hides_the_fleet_but_is_no_outage(
    scheduler: SchedulerCollector, connection: SyncRedis, keys: Keys
) -> None:
    connection.client.set(keys.stats, "no hash")

    seen = values(scheduler)

    assert seen["headrace_redis_up"] == 1
    assert not any(name.startswith("headrace_queue") for name in seen)


def test_a_leading_scheduler_says_so(redis_url: str, keys: Keys, connection: SyncRedis) -> None:
    scheduler = Scheduler(settings=Settings(redis_url=redis_url, cell=keys.cell), connection=connection)
    collector = SchedulerCollector(scheduler=scheduler, store=JobStore(keys), connection=connection, classes={})

    scheduler.tick()

    seen = values(collector)
    assert seen["headrace_scheduler_leading"] == 1
    assert seen["headrace_scheduler_tick_age_seconds"] >= 0


def test_a_worker_shows_its_passes_and_failures() -> None:
    tally = Tally()
    for jobs, took_s in ((1, 0.004), (3, 0.02), (64, 0.5)):
        tally.passed("m@1", jobs, PassReport(took_s=took_s, staged_s=0, cost=10, items=jobs, runs=2, padding=4))
    tally.failed("m@1", [Cause.INPUT, Cause.INPUT, Cause.OOM])

    seen = values(worker(tally))

    assert [1, 1, 2] == [seen[f"headrace_batch_size_bucket{{m@1}}{{{bound}}}"] for bound in ("1", "2", "4")]
    assert seen["headrace_batch_size_sum{m@1}"] == 68
    assert seen["headrace_forward_seconds_count{m@1}"] == 3
    assert seen["headrace_forward_seconds_sum{m@1}"] == pytest.approx(0.524)
    assert (seen["headrace_batch_cost_total{m@1}"], seen["headrace_batch_padding_total{m@1}"]) == (30, 12)
    assert seen["headrace_forward_runs_total{m@1}"] == 6
    assert seen["headrace_jobs_failed_total{m@1}{input}"] == 2
    assert (seen["headrace_worker_jobs_held"], seen["headrace_worker_jobs_running"]) == (3, 2)
    assert seen["headrace_worker_models{m@1}{ready}"] == 1
    assert seen["headrace_worker_parked_bytes"] == 5_000_000


def test_what_receivers_and_callers_send_makes_no_labels() -> None:
    deliveries, meter = DeliveryTally(), RequestMeter()
    for status in (200, 204, 500, 503, 599):
        deliveries.attempted(f"http_{status}", 0.1)
    for method in ("GET", "BREW", "WHEN"):
        meter.note({"method": method, "path": f"/no/{method}"}, 404, 0.001)

    assert {"http_2xx": 2, "http_5xx": 3} == deliveries.outcomes
    assert {("none", "GET", "404"): 1, ("none", "other", "404"): 2} == meter.counts
