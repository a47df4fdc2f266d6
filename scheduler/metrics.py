"""Metrics of the scheduler: its own state, and what only Redis knows of the fleet, read when somebody scrapes.

Each is explained in docs/metrics.md. Two schedulers show the same numbers of the fleet, so queries take the largest.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version

import redis
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from headrace.errors import RedisUnavailable
from headrace.groups import outgrown_of, split_group
from headrace.presence import WorkerState
from headrace.store import JobStore
from headrace.store_views import QueueDepth
from headrace.sync_redis import SyncRedis
from headrace.worker_class import WorkerClass
from scheduler.fleet import Fleet, read_fleet
from scheduler.loop import Scheduler
from scheduler.observer import stage_of

log = logging.getLogger("headrace.metrics")

_QUEUE = ("model", "tier")
#: Counter of `stats` -> metric and what it counts.
STATS = {
    "rescued": ("headrace_jobs_rescued", "Jobs taken back from silent workers."),
    "preempted": ("headrace_jobs_preempted", "Jobs given back, uncharged, because their machine was taken away."),
    "hastened": (
        "headrace_jobs_hastened",
        "Jobs moved from the spot tier, since they would have ended too late there.",
    ),
    "dead": ("headrace_jobs_dead", "Jobs that were given up: dead letters."),
    "late_refused": ("headrace_results_refused", "Results that came after their lease was lost."),
    "quarantined": ("headrace_records_quarantined", "Job records that were found broken."),
    "strays": ("headrace_strays", "Other things set apart that nobody of ours wrote."),
    "mended": ("headrace_jobs_mended", "Jobs that the sweep put in order."),
    "endpoints_stopped": ("headrace_webhook_endpoints_stopped", "Registered receivers that are told nothing more."),
    "forgotten": ("headrace_jobs_forgotten", "Finished jobs forgotten before their time, for want of memory."),
}
_HOOKS = ("delivered", "failed", "lost")


class SchedulerCollector(Collector):
    """Of one scheduler.

    Args:
        scheduler: whose own state is shown.
        store: operations of the cell.
        connection: one that nobody else uses.
        classes: the worker classes that are set.
    """

    def __init__(
        self, *, scheduler: Scheduler, store: JobStore, connection: SyncRedis, classes: dict[str, WorkerClass]
    ) -> None:
        self._scheduler = scheduler
        self._store = store
        self._connection = connection
        self._classes = classes

    def collect(self) -> Iterator[Metric]:
        """Everything at this moment; without Redis only what needs none."""
        is_up, fleet = self._look()
        yield _gauge("headrace_redis_up", "1 if Redis answered this scrape.", is_up)
        yield _gauge("headrace_scheduler_leading", "1 if this scheduler leads.", self._scheduler.is_leading)
        tick = "Since this scheduler last did its round, standing by or leading."
        yield _gauge("headrace_scheduler_tick_age_seconds", tick, self._scheduler.tick_age_s)
        yield _objectives(self._classes)
        yield InfoMetricFamily("headrace_build", "What is running.", {"version": version("headrace")})
        if fleet is not None:
            for part in (_queues, _workers, _incidents, _webhooks, _redis):
                yield from part(fleet)

    def _look(self) -> tuple[bool, Fleet | None]:
        """Whether Redis answers, and what it says, unless somebody else wrote there what cannot be understood."""
        try:
            return True, read_fleet(self._store, self._connection)
        except RedisUnavailable:
            return False, None
        except (redis.RedisError, ValueError) as error:
            log.warning("what is in Redis cannot be shown: %s", error)
            return True, None


def render_of(collector: Collector) -> Callable[[str], tuple[str, bytes]]:
    """What makes the page."""
    registry = CollectorRegistry()
    registry.register(collector)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)

    def render(accept: str) -> tuple[str, bytes]:
        encode, content_type = choose_encoder(accept)
        return content_type, encode(registry)

    return render


def _objectives(classes: dict[str, WorkerClass]) -> Metric:
    text = "In what time a backlog is to be gone, by the settings."
    family = GaugeMetricFamily("headrace_wait_objective_seconds", text, labels=["worker_class", "tier"])
    for name, kind in classes.items():
        for tier in kind.tiers:
            family.add_metric([name, tier], kind.wait_objective_s)
    return family


def _queues(fleet: Fleet) -> Iterator[Metric]:
    depth = GaugeMetricFamily("headrace_queue_depth", "Jobs that wait for a worker.", labels=_QUEUE)
    oldest = GaugeMetricFamily("headrace_queue_oldest_age_seconds", "Age of the next job.", labels=_QUEUE)
    paused = GaugeMetricFamily("headrace_queue_paused", "1 while no worker claims from it.", labels=_QUEUE)
    for (ref, tier), waiting in _by_model_and_tier(fleet.depths).items():
        paused.add_metric([ref, tier], float(f"{ref}:{tier}" in fleet.paused))
        depth.add_metric([ref, tier], sum(queue.depth for queue in waiting))
        oldest.add_metric([ref, tier], max(queue.oldest_age_ms for queue in waiting) / 1000)
    yield from (depth, oldest, paused)
    accepted = CounterMetricFamily("headrace_jobs_accepted", "Jobs accepted.", labels=_QUEUE)
    wait = SummaryMetricFamily("headrace_job_wait_seconds", "From ready to the forward pass.", labels=_QUEUE)
    service = SummaryMetricFamily("headrace_job_service_seconds", "Shares in forward passes.", labels=_QUEUE)
    # What a job does that has outgrown a size is counted with the others.
    for group, count in ((group, count) for group, count in fleet.counts.items() if not outgrown_of(group)):
        accepted.add_metric(_labels(group), count.arrived)
        wait.add_metric(_labels(group), count.ended, count.wait_ms / 1000)
        service.add_metric(_labels(group), count.ended, count.run_ms / 1000)
    yield from (accepted, wait, service)


def _by_model_and_tier(depths: Iterable[QueueDepth]) -> dict[tuple[str, str], list[QueueDepth]]:
    """Queues with those beside them that hold what has outgrown a size of workers."""
    found: dict[tuple[str, str], list[QueueDepth]] = {}
    for queue in depths:
        ref, tier = _labels(queue.group)
        found.setdefault((ref, tier), []).append(queue)
    return found


def _labels(group: str) -> list[str]:
    ref, tier = split_group(group)
    return [str(ref), tier]


def _workers(fleet: Fleet) -> Iterator[Metric]:
    desired = GaugeMetricFamily("headrace_workers_desired", "Workers there should be.", labels=["worker_class"])
    for name, count in sorted(fleet.desired.items()):
        desired.add_metric([name], count)
    yield desired
    workers = GaugeMetricFamily("headrace_workers", "Workers there are.", labels=["worker_class", "state"])
    classes = {*fleet.desired, *(worker.worker_class for worker in fleet.workers)}
    for name in sorted(classes):
        states = [stage_of(worker) for worker in fleet.workers if worker.worker_class == name]
        for state in WorkerState:
            workers.add_metric([name, state], states.count(state))
    yield workers
    held = sum(worker.jobs_held for worker in fleet.workers)
    yield _gauge("headrace_jobs_held", "Jobs that workers hold, by their own words.", held)


def _incidents(fleet: Fleet) -> Iterator[Metric]:
    for name, (metric, text) in STATS.items():
        yield CounterMetricFamily(metric, text, value=fleet.stats.get(name, 0))
    for name, metric, text in (
        ("leases", "headrace_leases", "Leases that are running."),
        ("delayed", "headrace_jobs_delayed", "Jobs whose time has not come."),
        ("quarantine", "headrace_quarantine_jobs", "Jobs whose records are broken."),
    ):
        yield _gauge(metric, text, fleet.sizes[name])


def _webhooks(fleet: Fleet) -> Iterator[Metric]:
    text = "Webhook deliveries that are over."
    over = CounterMetricFamily("headrace_webhook_deliveries", text, labels=["state"])
    for state in _HOOKS:
        over.add_metric([state], fleet.stats.get(f"hooks_{state}", 0))
    yield over
    yield _gauge("headrace_webhook_outbox", "Webhook deliveries that are not over.", fleet.sizes["outbox"])
    overdue = "Since the first delivery became due that no courier has taken."
    yield _gauge("headrace_webhook_overdue_seconds", overdue, fleet.overdue_ms / 1000)


def _redis(fleet: Fleet) -> Iterator[Metric]:
    used, limit = fleet.memory
    yield _gauge("headrace_redis_memory_bytes", "Memory that Redis uses.", used)
    yield _gauge("headrace_redis_memory_limit_bytes", "What it may use; 0: no limit.", limit)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))
