"""Metrics of a worker's parent process, made of what the engine counts anyway when somebody scrapes.

Each is explained in docs/metrics.md. Labels are model versions, states and causes: a few dozen values at most.
"""

from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from headrace.presence import WorkerPresence
from workers.tally import ModelTally, Tally
from workers.webhooks.tally import DeliveryTally

_PAGE = 4096


class WorkerFigures(NamedTuple):
    """What a worker knows of itself."""

    presence: WorkerPresence
    tally: Tally
    claims: int
    #: Results that came too late, or for canceled jobs.
    refused: int
    #: Commits that were sent again.
    resent: int
    child_deaths: int
    #: Seconds since the event loop last ticked.
    loop_age_s: float


class WorkerCollector(Collector):
    """Of a worker that runs jobs."""

    def __init__(self, figures: Callable[[], WorkerFigures]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """Everything at this moment."""
        seen = self._figures()
        yield from _passes(dict(seen.tally.models))
        yield from _counts(seen)
        yield from _states(seen)
        yield _build()


class CourierCollector(Collector):
    """Of a courier."""

    def __init__(self, tally: DeliveryTally) -> None:
        self._tally = tally

    def collect(self) -> Iterator[Metric]:
        """Everything at this moment."""
        tally = self._tally
        attempts = CounterMetricFamily(
            "headrace_webhook_attempts", "Attempts to deliver a webhook that are over.", labels=["outcome"]
        )
        for outcome, count in sorted(tally.outcomes.items()):
            attempts.add_metric([outcome], count)
        yield attempts
        seconds = HistogramMetricFamily("headrace_webhook_attempt_seconds", "How long attempts took.")
        seconds.add_metric([], buckets=tally.took_s.cumulative(), sum_value=tally.took_s.sum)
        yield seconds
        yield _gauge("headrace_webhook_attempts_under_way", "Attempts that are being made.", tally.under_way)
        yield _gauge("headrace_webhook_receivers_resting", "Receivers that are tried rarely.", tally.resting)
        yield _build()


def render_of(collector: Collector) -> Callable[[str], tuple[str, bytes]]:
    """What makes the page of one process."""
    registry = CollectorRegistry()
    registry.register(collector)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)

    def render(accept: str) -> tuple[str, bytes]:
        encode, content_type = choose_encoder(accept)
        return content_type, encode(registry)

    return render


def _build() -> Metric:
    return InfoMetricFamily("headrace_build", "What is running.", {"version": version("headrace")})


def _passes(models: dict[str, ModelTally]) -> Iterator[Metric]:
    sizes = HistogramMetricFamily("headrace_batch_size", "Jobs in a forward pass.", labels=["model"])
    seconds = HistogramMetricFamily("headrace_forward_seconds", "How long forward passes took.", labels=["model"])
    runs = CounterMetricFamily("headrace_forward_runs", "Calls of the model's forward.", labels=["model"])
    cost = CounterMetricFamily("headrace_batch_cost", "Cost of all batches as padded.", labels=["model"])
    padding = CounterMetricFamily("headrace_batch_padding", "Part of the cost that was padding.", labels=["model"])
    failed = CounterMetricFamily("headrace_jobs_failed", "Jobs that failed here.", labels=["model", "cause"])
    load_s = HistogramMetricFamily("headrace_model_load_seconds", "How long loads took.", labels=["model"])
    unloads = CounterMetricFamily("headrace_model_unloads", "Times a model made way for others.", labels=["model"])
    for ref, model in sorted(models.items()):
        load_s.add_metric([ref], buckets=model.load_s.cumulative(), sum_value=model.load_s.sum)
        unloads.add_metric([ref], model.unloads)
        sizes.add_metric([ref], buckets=model.sizes.cumulative(), sum_value=model.sizes.sum)
        seconds.add_metric([ref], buckets=model.pass_s.cumulative(), sum_value=model.pass_s.sum)
        runs.add_metric([ref], model.runs)
        cost.add_metric([ref], model.cost)
        padding.add_metric([ref], model.padding)
        for cause, count in sorted(model.failed.items()):
            failed.add_metric([ref, cause], count)
    yield from (sizes, seconds, runs, cost, padding, failed, load_s, unloads)


def _counts(seen: WorkerFigures) -> Iterator[Metric]:
    for name, text, count in (
        ("headrace_worker_claims", "Claims made.", seen.claims),
        ("headrace_worker_results_refused", "Results that came too late, or for canceled jobs.", seen.refused),
        ("headrace_worker_commits_resent", "Commits sent again because no answer came.", seen.resent),
        ("headrace_worker_child_deaths", "Deaths of the model's process.", seen.child_deaths),
    ):
        yield CounterMetricFamily(name, text, value=count)


def _states(seen: WorkerFigures) -> Iterator[Metric]:
    presence = seen.presence
    about = {"worker_class": presence.worker_class, "node": presence.node, "device": presence.device}
    yield InfoMetricFamily("headrace_worker", "Which worker this is.", about)
    models = GaugeMetricFamily("headrace_worker_models", "Model versions by state.", labels=["model", "state"])
    for ref, model in sorted(presence.models.items()):
        models.add_metric([ref, model.state], 1)
    yield models
    running = sum(load.running for load in presence.groups.values())
    parked_bytes = sum(model.host_bytes for model in presence.models.values())
    for name, text, value in (
        ("headrace_worker_jobs_held", "Jobs leased.", presence.jobs_held),
        ("headrace_worker_jobs_running", "Of these, jobs in the forward pass.", running),
        ("headrace_worker_loop_age_seconds", "Since the event loop last ticked.", seen.loop_age_s),
        ("headrace_worker_parked_bytes", "Host memory that parked models take.", parked_bytes),
        ("headrace_worker_child_memory_bytes", "Resident memory of the model's process.", _memory(presence.child_pid)),
    ):
        yield _gauge(name, text, value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _memory(pid: int | None) -> int:
    """Bytes that a process has in memory; 0 if there is none, or this is not Linux."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0
