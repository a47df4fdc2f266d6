"""One worker on a measured curve of batch times, simulated: the production batcher beside the usual and the best.

Jobs arrive as in a trace; the worker is always busy while any wait. Every rule sees the same arrivals and lengths.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from bench.traces import Curve
from workers.batcher import Batch, Batcher, Limits, WaitingJob
from workers.cost_model import CostModel

_REF = "model@1"


class Arrival(NamedTuple):
    """A job of so many tokens."""

    at_s: float
    cost: int


class Outcome(NamedTuple):
    """How a rule did: how long the device was busy, and how much of what it computed was filling."""

    busy_s: float
    padding_share: float
    waits_s: list[float]


class Rule(Protocol):
    """Which of the waiting jobs run next."""

    def add(self, number: int, cost: int) -> None:
        """A job has arrived."""

    def next(self, now: float) -> tuple[list[int], float]:
        """Jobs of the next batch, at least one, and the batch's cost."""

    def ran(self, jobs: list[int], cost: float, took_s: float) -> None:
        """The batch took so long."""


class Ours:
    """The production batcher and cost model, which begins knowing nothing."""

    def __init__(self, max_batch: int) -> None:
        self.costs = CostModel()
        self._batcher = Batcher()
        self._limits = {_REF: Limits(self.costs, max_batch=max_batch, sized=True)}

    def add(self, number: int, cost: int) -> None:
        """A job has arrived, and is preprocessed at once."""
        self._batcher.add(_REF, [WaitingJob(number, b"")])
        self._batcher.prepared(number, cost)

    def next(self, now: float) -> tuple[list[int], float]:
        """What the batcher says."""
        batch = self._batcher.next_batch(now, self._limits)
        assert isinstance(batch, Batch)
        return [job.slot for job in batch.jobs], batch.cost

    def ran(self, jobs: list[int], cost: float, took_s: float) -> None:
        """Let the cost model learn."""
        self.costs.observe(cost, len(jobs), took_s)


class InOrder:
    """First in, first out, up to `max_batch` at once; `price` gives the cost of a batch from those of its jobs."""

    def __init__(self, max_batch: int, price: Callable[[Sequence[int]], float]) -> None:
        self._max_batch = max_batch
        self._price = price
        self._waiting: list[tuple[int, int]] = []

    def add(self, number: int, cost: int) -> None:
        """A job has arrived."""
        self._waiting.append((number, cost))

    def next(self, now: float) -> tuple[list[int], float]:  # noqa: ARG002 - a rule that looks at no clock
        """The oldest."""
        batch, self._waiting = self._waiting[: self._max_batch], self._waiting[self._max_batch :]
        return [number for number, _ in batch], self._price([cost for _, cost in batch])

    def ran(self, jobs: list[int], cost: float, took_s: float) -> None:
        """It learns nothing."""


def padded(costs: Sequence[int]) -> float:
    """Cost of a batch in which every item is as large as the largest."""
    return float(len(costs) * max(costs))


def packed(costs: Sequence[int]) -> float:
    """Cost of a batch without filling: what no padded batch can do better than."""
    return float(sum(costs))


def simulate(arrivals: Sequence[Arrival], rule: Rule, curve: Curve) -> Outcome:
    """Serve all arrivals, which are in the order of their times."""
    now = busy_s = computed = 0.0
    arrived = done = 0
    waits_s: list[float] = []
    while done < len(arrivals):
        if arrived == done:
            now = max(now, arrivals[arrived].at_s)
        while arrived < len(arrivals) and arrivals[arrived].at_s <= now:
            rule.add(arrived, arrivals[arrived].cost)
            arrived += 1
        jobs, cost = rule.next(now)
        took_s = curve(cost)
        now += took_s
        busy_s += took_s
        computed += cost
        done += len(jobs)
        rule.ran(jobs, cost, took_s)
        waits_s += [now - arrivals[job].at_s for job in jobs]
    return Outcome(busy_s, 1 - sum(arrival.cost for arrival in arrivals) / computed, waits_s)
