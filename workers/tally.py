"""Tally: what a worker's forward passes were like since it began. Written by the loop, read by the metrics' thread."""

from collections import Counter
from collections.abc import Sequence

from headrace.buckets import Buckets
from workers.frames import PassReport

_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_PASS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

_LOAD_S = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)


class ModelTally:
    """Of one model version."""

    def __init__(self) -> None:
        self.sizes = Buckets(_SIZES)
        self.pass_s = Buckets(_PASS_S)
        #: Calls of `forward`, of which a failing batch takes several.
        self.runs = 0
        #: In the model's own units, as padded; and how much of it was filling.
        self.cost = self.padding = 0.0
        self.load_s = Buckets(_LOAD_S)
        #: How often it made way for others.
        self.unloads = 0
        #: Jobs that failed, by cause.
        self.failed: Counter[str] = Counter()


class Tally:
    """Of all versions."""

    def __init__(self) -> None:
        self.models: dict[str, ModelTally] = {}

    def of(self, ref: str) -> ModelTally:
        """What was counted for a version."""
        known = self.models.get(ref)
        if known is None:
            known = self.models[ref] = ModelTally()
        return known

    def passed(self, ref: str, jobs: int, report: PassReport) -> None:
        """A forward pass over so many jobs ended."""
        model = self.of(ref)
        model.sizes.add(jobs)
        model.pass_s.add(report.took_s)
        model.runs += report.runs
        model.cost += report.cost
        model.padding += report.padding

    def failed(self, ref: str, causes: Sequence[str]) -> None:
        """Jobs failed, for these causes."""
        self.of(ref).failed.update(causes)
