"""Arrivals: jobs in each step of time, drawn for each seed from the rate of a trace. The same seed is the same day."""

import csv
import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: One step of the fluid engine, and how often it decides.
STEP_S = 15.0
#: Bursts: each span's rate is multiplied by a gamma variate of mean 1.
BURST_S = 30.0
BURST_CV = 0.3


class Rate(NamedTuple):
    """Jobs each second, over time."""

    name: str
    #: One for each step.
    per_second: Array

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.per_second) * STEP_S

    def scaled_to(self, mean: float) -> "Rate":
        """The same course with another mean."""
        return self._replace(per_second=self.per_second * mean / self.per_second.mean())

    def of_first(self, seconds: float) -> "Rate":
        """Its beginning."""
        return self._replace(per_second=self.per_second[: int(seconds / STEP_S)])


class Jobs(NamedTuple):
    """Jobs that arrive in each step: one row for each step, one column for each seed."""

    name: str
    counts: Array

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.counts) * STEP_S


def read_rate(file: Path) -> Rate:
    """The rate of a trace with the columns `t_s` and `req_per_s`, the mean from each row until the next.

    It goes straight from the middle of one span to the middle of the next.
    """
    at_s, rates = _columns(file, ("t_s", "req_per_s"))
    span_s = at_s[1] - at_s[0]
    steps = (np.arange(len(rates) * round(span_s / STEP_S)) + 0.5) * STEP_S
    return Rate(_name_of(file), np.interp(steps, at_s + span_s / 2, rates))


def generated_rate(*, days: int, busy: float = 5.0, hours: tuple[float, float] = (12.0, 18.0)) -> Rate:
    """Each day the same: one job each second, but `busy` times as many between two hours, with ramps of ten minutes."""
    at_h = np.arange(0, days * 86_400, STEP_S) % 86_400 / 3600
    edges = (hours[0], hours[0] + 1 / 6, hours[1], hours[1] + 1 / 6)
    return Rate("generated", np.interp(at_h, edges, (1.0, busy, busy, 1.0)))


def read_requests(file: Path) -> Array:
    """The arrival time of each request of a trace with the column `t_s`, in seconds."""
    return _columns(file, ("t_s",))[0]


def is_rate(file: Path) -> bool:
    """Tell whether a trace has rates; else it has single requests."""
    with gzip.open(file, "rt", newline="") as lines:
        return "req_per_s" in next(csv.reader(lines))


def jobs_of_rate(rate: Rate, *, seeds: int, burst_cv: float = BURST_CV) -> Jobs:
    """Poisson arrivals of a rate with bursts; column i is drawn from seed i."""
    return Jobs(rate.name, np.stack([draw_counts(rate.per_second, seed, burst_cv) for seed in range(seeds)], axis=1))


def jobs_of_requests(name: str, at_s: Array, *, mean: float, seeds: int) -> Jobs:
    """The requests themselves, each one `mean / own mean` jobs on average; a seed decides how many it is."""
    steps = int(at_s[-1] // STEP_S)
    seen, _ = np.histogram(at_s, bins=np.arange(steps + 1) * STEP_S)
    times = mean * steps * STEP_S / seen.sum()
    columns = []
    for seed in range(seeds):
        draw = np.random.default_rng(seed)
        columns.append(np.floor(times) * seen + draw.binomial(seen, times % 1.0))
    return Jobs(name, np.stack(columns, axis=1).astype(np.float64))


def draw_counts(per_second: Array, seed: int, burst_cv: float) -> Array:
    """Jobs of each step, for one seed: Poisson arrivals with bursts."""
    draw = np.random.default_rng(seed)
    spans = int(np.ceil(len(per_second) * STEP_S / BURST_S))
    shape = 1 / burst_cv**2 if burst_cv else 0.0
    bursts = draw.gamma(shape, 1 / shape, spans) if burst_cv else np.ones(spans)
    factors = np.repeat(bursts, round(BURST_S / STEP_S))[: len(per_second)]
    return draw.poisson(per_second * factors * STEP_S).astype(np.float64)


def _columns(file: Path, names: Sequence[str]) -> list[Array]:
    with gzip.open(file, "rt", newline="") as lines:
        rows = [[float(row[name]) for name in names] for row in csv.DictReader(lines)]
    return list(np.array(rows).T)


def _name_of(file: Path) -> str:
    return file.name.removesuffix(".csv.gz")
