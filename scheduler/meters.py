"""Meters: what the scheduler remembers between two looks, to tell rates and durations. Pure."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from headrace.presence import ModelPresence, WorkerPresence
from scheduler.forecast_models import Array
from scheduler.observation import ClassLoad

#: One number, or an array of them.
Number = TypeVar("Number", float, Array)

_COLD_START_S = ClassLoad().cold_start_s
#: Starts of a class that are remembered; the longest of them counts.
_STARTS = 8


def smoothed(known: Number, seen: Number, seconds: float, tau_s: float) -> Number:
    """The moving mean after `seconds` more in which `seen` was the rate."""
    return known + (seen - known) * (1 - math.exp(-seconds / tau_s))


class RateMeter:
    """Smooths how fast counters grow: an exponentially weighted mean over about `tau_s`."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, float]] = {}
        self._looked_at: float | None = None
        self._rates: dict[str, float] = {}
        #: The growth of each counter in a second, between the last two looks.
        self.growth: dict[str, float] = {}

    def update(self, counts: Mapping[str, int], now: float, *, tau_s: float) -> dict[str, float]:
        """Note the counters at `now` (monotonic seconds); answers the growth of each in a second."""
        for name, count in counts.items():
            before, at = self._last.get(name, self._new(count, now))
            if count < before:
                before = count  # the server came back from an older file
            if now > at:
                self.growth[name] = (count - before) / (now - at)
                self._rates[name] = smoothed(self._rates.get(name, 0.0), self.growth[name], now - at, tau_s)
            self.growth.setdefault(name, 0.0)
            self._last[name] = (count, now)
        self._looked_at = now
        return {name: self._rates.get(name, 0.0) for name in counts}

    def _new(self, count: int, now: float) -> tuple[int, float]:
        """What a counter must have been that was not there before: nothing at the last look, unknown at the first."""
        return (count, now) if self._looked_at is None else (0, self._looked_at)


class StartMeter:
    """How long workers of each class took from the start of their process until a model could run."""

    def __init__(self) -> None:
        self._seen: dict[str, None] = {}
        self._starts: dict[str, deque[tuple[float, Mapping[str, float]]]] = {}

    def note(self, workers: Iterable[WorkerPresence]) -> None:
        """Look at the workers that are alive; each start counts once."""
        alive: dict[str, None] = {}
        for worker in workers:
            if worker.ready_ms is None:
                continue
            alive[worker.id] = None
            if worker.id not in self._seen:
                starts = self._starts.setdefault(worker.worker_class, deque(maxlen=_STARTS))
                starts.append((_took_s(worker, worker.ready_ms), worker.start_s))
        self._seen = alive

    def cold_start_s(self, worker_class: str) -> float:
        """The longest of the last starts, a guess if there was none."""
        return self._longest(worker_class)[0]

    def stages(self, worker_class: str) -> Mapping[str, float]:
        """The stages of that start, in seconds; none if there was none."""
        return self._longest(worker_class)[1]

    def _longest(self, worker_class: str) -> tuple[float, Mapping[str, float]]:
        return max(self._starts.get(worker_class, ((_COLD_START_S, {}),)), key=lambda start: start[0])


def _took_s(worker: WorkerPresence, ready_ms: int) -> float:
    """What a start took: its stages, which leave out the time in which there was nothing to load."""
    return sum(worker.start_s.values()) or (ready_ms - worker.started_ms) / 1000


def job_s(model: ModelPresence) -> float | None:
    """Seconds of work in one job; None until a pass was run."""
    return model.job_s


def pass_s(model: ModelPresence) -> float | None:
    """Seconds that a pass takes, from loading on; None until one was run."""
    return model.busy_s / model.passes if model.passes else None


class JobTimes:
    """Seconds of something, by worker class and model version: the mean over the workers that measured it.

    Args:
        measured: what of a model on a worker; by default the work in one job.
    """

    def __init__(self, measured: Callable[[ModelPresence], float | None] = job_s) -> None:
        self._measured = measured
        self._by_class: dict[str, dict[str, float]] = {}

    def note(self, workers: Iterable[WorkerPresence]) -> None:
        """Look at the workers that are alive; what those said that are gone stays known."""
        seen: dict[tuple[str, str], list[float]] = {}
        for worker in workers:
            for ref, model in worker.models.items():
                if (seconds := self._measured(model)) is not None:
                    seen.setdefault((worker.worker_class, ref), []).append(seconds)
        for (name, ref), times in seen.items():
            self._by_class.setdefault(name, {})[ref] = sum(times) / len(times)

    def recall(self, worker_class: str, times: Mapping[str, float]) -> None:
        """Take over what was measured before, where nothing is known."""
        known = self._by_class.setdefault(worker_class, {})
        self._by_class[worker_class] = {**times, **known}

    def measured_by(self, worker_class: str) -> frozenset[str]:
        """The model versions that workers of a class have measured themselves."""
        return frozenset(self._by_class.get(worker_class, ()))

    def of_class(self, worker_class: str, averages: Mapping[str, float]) -> dict[str, float]:
        """What is known for a class: its own measurements, else another class's, else the averages since ever."""
        others = [times for name, times in self._by_class.items() if name != worker_class]
        known = dict(averages)
        for times in (*others, self._by_class.get(worker_class, {})):
            known |= times
        return known
