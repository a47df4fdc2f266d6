"""One worker that has memory for some of many models, simulated: the production policy beside the usual ones.

Jobs arrive as in a trace. The worker does one thing at a time: it loads a model, or runs a batch of one that is loaded.
Every rule sees the same arrivals and models.
"""

import random
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from headrace.tiers import Tier
from workers.model_choice import Backlog
from workers.residency import Footprint, Residency

#: A pass over n jobs takes so long in all, and so long for each of them.
PASS_S, JOB_S, MAX_BATCH = 0.05, 0.03, 32
#: How often a worker looks at what waits for models that are not loaded, as in production.
_LOOK_S = 0.5


#: A copy between device and host memory takes this part of a load.
COPY = 0.1


class SimulatedModel(NamedTuple):
    """How large a model is and how long its load takes."""

    size_bytes: int
    load_s: float


class Queue:
    """Arrival times of a model's waiting jobs."""

    def __init__(self) -> None:
        self.arrived: deque[float] = deque()

    def take(self, most: int) -> list[float]:
        """Remove the oldest and answer when they came."""
        return [self.arrived.popleft() for _ in range(min(most, len(self.arrived)))]


class Rule(Protocol):
    """What the worker does next."""

    def next(self, queues: Mapping[str, Queue], now: float) -> tuple[str, bool] | None:
        """A model, and True to load it, False to run a batch; `queues` are those that are not empty."""

    def load_s(self, ref: str) -> float:
        """How long the load takes that it wants now."""

    def loaded(self, ref: str, now: float) -> None:
        """A load ended."""

    def ran(self, ref: str, jobs: int, now: float) -> None:
        """A pass ended."""


class Outcome(NamedTuple):
    """How a rule did. `waits_s` are the waits of the first job of each pass, and `mean_wait_s` that of all jobs."""

    load_s: float
    loads: int
    took_s: float
    waits_s: list[float]
    mean_wait_s: float


class Lru:
    """Least recently used goes. The next job is any of those that wait, or of a loaded model if there is one."""

    def __init__(
        self, models: Mapping[str, SimulatedModel], *, budget_bytes: int, has_affinity: bool, seed: int
    ) -> None:
        self._models, self._budget_bytes, self._has_affinity = models, budget_bytes, has_affinity
        self._loaded: OrderedDict[str, None] = OrderedDict()
        self._random = random.Random(seed)

    def next(self, queues: Mapping[str, Queue], now: float) -> tuple[str, bool] | None:  # noqa: ARG002 - no clock
        """The model of a job, loaded first if need be."""
        if not queues:
            return None
        ref = self._oldest(queues) if self._has_affinity else self._any(queues)
        if ref in self._loaded:
            return ref, False
        while self._bytes() + self._models[ref].size_bytes > self._budget_bytes:
            self._loaded.popitem(last=False)
        return ref, True

    def _any(self, queues: Mapping[str, Queue]) -> str:
        return self._random.choices(list(queues), [len(queue.arrived) for queue in queues.values()])[0]

    def _oldest(self, queues: Mapping[str, Queue]) -> str:
        return oldest([ref for ref in queues if ref in self._loaded] or list(queues), queues)

    def _bytes(self) -> int:
        return sum(self._models[ref].size_bytes for ref in self._loaded)

    def load_s(self, ref: str) -> float:
        """As from the disk."""
        return self._models[ref].load_s

    def loaded(self, ref: str, now: float) -> None:  # noqa: ARG002 - no clock
        """It is the most recently used."""
        self._loaded[ref] = None

    def ran(self, ref: str, jobs: int, now: float) -> None:  # noqa: ARG002 - no clock
        """It is the most recently used."""
        self._loaded.move_to_end(ref)


class Ours:
    """The production policy; with `host_bytes` models that made way stay in host memory, by copies that take time."""

    def __init__(self, models: Mapping[str, SimulatedModel], *, budget_bytes: int, host_bytes: int = 0) -> None:
        self._models = models
        self._loaded: set[str] = set()
        self._looks_at = 0.0
        self._copied_s = 0.0
        self._residency = Residency(budget_bytes=budget_bytes, host_bytes=host_bytes)
        for ref, model in models.items():
            self._residency.expect(ref, Footprint(model.size_bytes, load_s=model.load_s))

    def next(self, queues: Mapping[str, Queue], now: float) -> tuple[str, bool] | None:
        """A load if one is in place, else the loaded model whose job is the oldest."""
        if now >= self._looks_at:
            if (ref := self._cold_one(queues, now)) is not None:
                return ref, True
            self._looks_at = now + _LOOK_S
        resident = [ref for ref in queues if ref in self._loaded]
        return (oldest(resident, queues), False) if resident else None

    def _cold_one(self, queues: Mapping[str, Queue], now: float) -> str | None:
        """What is to be loaded now, if anything; makes room for it."""
        waiting = {ref: (len(queue.arrived), now - queue.arrived[0]) for ref, queue in queues.items()}
        self._residency.saw({ref: [Backlog(Tier.STANDARD, *found)] for ref, found in waiting.items()})
        cold = [ref for ref in queues if ref not in self._loaded]
        plan = self._residency.plan(cold, busy=(), now=now)
        while plan.unload or plan.park:
            for ref in plan.unload:
                self._loaded.discard(ref)
                self._residency.unloaded(ref, used_bytes=self._used_bytes())
            for ref in plan.park:
                self._park(ref, now)
            plan = self._residency.plan(cold, busy=(), now=now)
        return plan.load[0] if plan.load else None

    def _park(self, ref: str, now: float) -> None:
        size_bytes, copy_s = self._models[ref].size_bytes, COPY * self._models[ref].load_s
        self._copied_s += copy_s
        self._loaded.discard(ref)
        self._residency.parked(ref, size_bytes, copy_s, used_bytes=self._used_bytes(), now=now)

    def _used_bytes(self) -> int:
        return sum(self._models[ref].size_bytes for ref in self._loaded)

    def load_s(self, ref: str) -> float:
        """With the copies of those that made way for it."""
        return self._copied_s + self._residency.next_load_s(ref)

    def loaded(self, ref: str, now: float) -> None:
        """Tell the policy."""
        self._loaded.add(ref)
        self._copied_s = 0.0
        model = self._models[ref]
        return_s = COPY * model.load_s if self._residency.is_parked(ref) else 0.0
        footprint = Footprint(model.size_bytes, load_s=model.load_s, return_s=return_s, can_park=True)
        self._residency.loaded(ref, footprint, used_bytes=self._used_bytes(), now=now)

    def ran(self, ref: str, jobs: int, now: float) -> None:
        """Tell the policy."""
        self._residency.ran(ref, jobs, job_s=PASS_S / MAX_BATCH + JOB_S, now=now)


def oldest(refs: Sequence[str], queues: Mapping[str, Queue]) -> str:
    """The one of these whose first job has waited longest."""
    return min(refs, key=lambda ref: queues[ref].arrived[0])


def simulate(arrivals: Sequence[tuple[float, str]], models: Mapping[str, SimulatedModel], rule: Rule) -> Outcome:
    """Serve all arrivals, which are (seconds, model) in the order of their times."""
    queues = {ref: Queue() for ref in models}
    now, load_s, waited_s, loads, arrived, done = 0.0, 0.0, 0.0, 0, 0, 0
    waits_s: list[float] = []
    while done < len(arrivals):
        while arrived < len(arrivals) and arrivals[arrived][0] <= now:
            at_s, ref = arrivals[arrived]
            queues[ref].arrived.append(at_s)
            arrived += 1
        step = rule.next({ref: queue for ref, queue in queues.items() if queue.arrived}, now)
        if step is None:
            now = min(now + _LOOK_S, arrivals[arrived][0]) if arrived < len(arrivals) else now + _LOOK_S
            continue
        ref, is_load = step
        if is_load:
            took_s = rule.load_s(ref)
            now, load_s, loads = now + took_s, load_s + took_s, loads + 1
            rule.loaded(ref, now)
            continue
        batch = queues[ref].take(MAX_BATCH)
        now, done = now + PASS_S + JOB_S * len(batch), done + len(batch)
        waits_s.append(now - batch[0])
        waited_s += len(batch) * now - sum(batch)
        rule.ran(ref, len(batch), now)
    return Outcome(load_s, loads, now, waits_s, waited_s / len(arrivals))
