"""Traces and measured curves that simulations replay: gzipped CSV files with a header."""

import csv
import gzip
import statistics
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Self


class Request(NamedTuple):
    """One row of a trace of requests to a language model."""

    at_s: float
    tokens: int


def read_requests(file: Path) -> list[Request]:
    """Arrivals and input lengths of a trace with the columns `t_s` and `input_tokens`."""
    with gzip.open(file, "rt", newline="") as lines:
        return [Request(float(row["t_s"]), int(row["input_tokens"])) for row in csv.DictReader(lines)]


class Curve:
    """Seconds of a pass by its tokens: measured points, straight lines between them and beyond the last."""

    def __init__(self, points: Mapping[float, float]) -> None:
        self._costs = sorted(points)
        self._seconds = [points[cost] for cost in self._costs]

    @classmethod
    def read(cls, file: Path, *, layers: int) -> Self:
        """The curve of a whole model from a file of one layer's times: `num_tokens`, `layer_linear_ops_ms`."""
        samples: dict[float, list[float]] = defaultdict(list)
        with gzip.open(file, "rt", newline="") as lines:
            for row in csv.DictReader(lines):
                samples[float(row["num_tokens"])].append(float(row["layer_linear_ops_ms"]))
        return cls({cost: layers * statistics.median(times) / 1000 for cost, times in samples.items()})

    def __call__(self, cost: float) -> float:
        """Seconds of a pass over so many tokens."""
        if cost <= self._costs[0]:
            return self._seconds[0]
        at = min(bisect_left(self._costs, cost), len(self._costs) - 1)
        low, high = self._costs[at - 1], self._costs[at]
        rise = (self._seconds[at] - self._seconds[at - 1]) / (high - low)
        return self._seconds[at - 1] + rise * (cost - low)
