"""Metrics of one API process: its requests, and whether it hears of the ends of jobs.

Each is explained in docs/metrics.md. What waits and who works is the scheduler's to show, so that several API processes
do not multiply it.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version

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
from starlette.types import Scope

from headrace.buckets import Buckets
from headrace.eta import Forecaster

_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_REQUEST_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
#: Where a request went that no route wanted.
_NOWHERE = "none"


class RequestMeter:
    """Counts requests by route, so that no caller can make up labels."""

    def __init__(self) -> None:
        #: By route, method and status.
        self.counts: Counter[tuple[str, str, str]] = Counter()
        #: By route and method.
        self.seconds: dict[tuple[str, str], Buckets] = {}

    def note(self, scope: Scope, status: int, took_s: float) -> None:
        """A request was answered with this status; 0 if its caller had hung up."""
        route = getattr(scope.get("route"), "path", _NOWHERE)
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self.counts[route, method, str(status)] += 1
        if (route, method) not in self.seconds:
            self.seconds[route, method] = Buckets(_REQUEST_S)
        self.seconds[route, method].add(took_s)


class ApiCollector(Collector):
    """Of one API process.

    Args:
        meter: of its requests.
        waiting: answers how many requests wait for jobs.
        connections: answers how many connections there are.
        dropped: connections that were refused or cut off, by why.
        is_hearing: tells whether the event feed is connected.
        forecasters: that estimate when jobs will end, by `name@version`.
    """

    def __init__(
        self,
        *,
        meter: RequestMeter,
        waiting: Callable[[], int],
        connections: Callable[[], int],
        dropped: Mapping[str, int],
        is_hearing: Callable[[], bool],
        forecasters: Mapping[str, Forecaster],
    ) -> None:
        self._meter = meter
        self._waiting = waiting
        self._connections = connections
        self._dropped = dropped
        self._is_hearing = is_hearing
        self._forecasters = forecasters

    def collect(self) -> Iterator[Metric]:
        """Everything at this moment."""
        text = "Requests answered; status 0: the caller had hung up."
        requests = CounterMetricFamily("headrace_http_requests", text, labels=["route", "method", "status"])
        for labels, count in sorted(self._meter.counts.items()):
            requests.add_metric(labels, count)
        yield requests
        text = "How long answers took, with what a caller asked to wait."
        seconds = HistogramMetricFamily("headrace_http_request_seconds", text, labels=["route", "method"])
        for route, buckets in sorted(self._meter.seconds.items()):
            seconds.add_metric(route, buckets=buckets.cumulative(), sum_value=buckets.sum)
        yield seconds
        text = "Requests that wait for the end of a job."
        yield GaugeMetricFamily("headrace_http_waiting_requests", text, value=self._waiting())
        yield GaugeMetricFamily("headrace_http_connections", "Connections of callers.", value=self._connections())
        text = "Connections that were refused or cut off, by why."
        dropped = CounterMetricFamily("headrace_http_connections_dropped", text, labels=["reason"])
        for reason, count in sorted(self._dropped.items()):
            dropped.add_metric([reason], count)
        yield dropped
        text = "1 if this process hears of the ends of jobs."
        yield GaugeMetricFamily("headrace_api_hearing", text, value=float(self._is_hearing()))
        yield from self._estimates()
        yield InfoMetricFamily("headrace_build", "What is running.", {"version": version("headrace")})

    def _estimates(self) -> Iterator[Metric]:
        text = "Jobs accepted here that ended, by whether that was before the p90 of their estimate."
        ended = CounterMetricFamily("headrace_eta_jobs", text, labels=["model", "outcome"])
        text = "1 while the estimates of a model version are not shown, because too few jobs kept them."
        hidden = GaugeMetricFamily("headrace_eta_hidden", text, labels=["model"])
        for ref, forecaster in sorted(self._forecasters.items()):
            ended.add_metric([ref, "before_p90"], forecaster.kept)
            ended.add_metric([ref, "after_p90"], forecaster.late)
            hidden.add_metric([ref], float(forecaster.is_bad))
        yield ended
        yield hidden


def render_of(collector: Collector) -> Callable[[str], tuple[str, bytes]]:
    """What makes the page, given the Accept header."""
    registry = CollectorRegistry()
    registry.register(collector)
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)

    def render(accept: str) -> tuple[str, bytes]:
        encode, content_type = choose_encoder(accept)
        return content_type, encode(registry)

    return render
