"""ServedModels: which model versions this worker should serve, and how far each has come. Pure."""

import math
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from headrace.presence import ModelPresence, ModelState
from workers.admission import WINDOW_BATCHES
from workers.backoff import Backoff
from workers.claim_policy import Window
from workers.cost_model import CostModel
from workers.frames import PassReport

#: Beyond its next batch a worker holds at most so many seconds of its own work to choose from.
_WINDOW_S = 2.0


class PassSums(NamedTuple):
    """What the passes of a version added up to."""

    passes: int = 0
    #: Calls of `forward`: more than passes where some failed.
    runs: int = 0
    jobs: int = 0
    busy_s: float = 0.0
    #: Of the batches as padded, and of what was filling in it.
    cost: float = 0.0
    padding: float = 0.0

    def plus(self, report: PassReport) -> Self:
        """With one more pass."""
        return type(self)(
            self.passes + 1,
            self.runs + report.runs,
            self.jobs + report.items,
            self.busy_s + report.took_s,
            self.cost + report.cost,
            self.padding + report.padding,
        )


@dataclass
class _Served:
    state: ModelState = ModelState.LOADING
    error: str = ""
    max_batch: int = 0
    sums: PassSums = field(default_factory=lambda: PassSums())
    #: Smoothed number of jobs in passes that left jobs waiting.
    chosen: float = 0.0
    #: Cost of an item in the last pass; None before the first.
    item_cost: float | None = None
    #: True once items of unlike cost were seen: then it pays to have many to choose from.
    varies: bool = False
    #: Seconds that a job takes: in a well-filled pass, and on average those that wait in the child.
    job_s: float | None = None
    staged_job_s: float = 0.0
    costs: CostModel | None = None
    #: True once the child has been asked to load it.
    asked: bool = False
    #: What it takes of host memory while it is there.
    host_bytes: int = 0
    retry_at: float = 0.0
    backoff: Backoff = field(default_factory=lambda: Backoff(first_s=1.0, most_s=60.0))

    def window(self) -> Window:
        """How many of its jobs should be with the child."""
        batch = min(self.max_batch, math.ceil(2 * self.chosen))
        job_s = self.staged_job_s or self.job_s
        if not self.varies or not job_s:
            return Window(batch, batch)
        return Window(batch, max(batch, min(WINDOW_BATCHES * self.max_batch, int(_WINDOW_S / job_s))))

    @property
    def is_cold(self) -> bool:
        """True if it could be loaded and is not, for want of memory."""
        return self.state is ModelState.LOADING and not self.asked

    def full_job_s(self) -> float | None:
        """Seconds that a job takes in a full pass, None before the first pass."""
        if self.costs is None or not self.costs.known or not self.item_cost:
            return self.job_s
        return self.costs.t(self.item_cost * self.max_batch) / self.max_batch


def job_time_after(known: float | None, seen: float, *, is_full: bool) -> float:
    """What a job costs in a well-filled pass, after a pass that took `seen` seconds a job.

    A pass with few jobs says only what it costs at most, so it may lower the estimate but not raise it.
    """
    if known is None:
        return seen
    if seen < known:
        return 0.5 * (known + seen)
    return 0.9 * known + 0.1 * seen if is_full else known


class ServedModels:
    """Every version that was ever wanted; a refused one is tried again after a growing pause."""

    def __init__(self) -> None:
        self._models: dict[str, _Served] = {}

    def want(self, refs: Collection[str]) -> None:
        """Serve these as well."""
        for ref in refs:
            self._models.setdefault(ref, _Served())

    def loadable(self, now: float) -> list[str]:
        """Versions that the child has not loaded, was not asked for, and that may be tried now."""
        return [
            ref
            for ref, model in self._models.items()
            if not model.asked and (model.state is ModelState.LOADING or model.retry_at <= now)
        ]

    def begin_load(self, ref: str) -> None:
        """The child is asked for a version."""
        self._models[ref].asked = True
        self._models[ref].state = ModelState.LOADING

    def parked(self, ref: str, host_bytes: int) -> None:
        """A version that made way is in host memory, of which it takes so much."""
        self._models[ref].host_bytes = max(host_bytes, 1)

    def unload(self, ref: str) -> None:
        """A version makes way for others; it can be loaded again."""
        model = self._models[ref]
        model.state, model.asked, model.host_bytes = ModelState.LOADING, False, 0

    def loaded(self, ref: str, max_batch: int) -> None:
        """A version can run."""
        model = self._models[ref]
        model.state, model.error, model.max_batch, model.chosen = ModelState.READY, "", max_batch, max_batch
        model.host_bytes = 0
        model.backoff.reset()

    def window(self) -> Window:
        """How many jobs should be with the child, for the version that needs most."""
        windows = [model.window() for model in self._models.values() if model.state is ModelState.READY]
        if len(windows) < 2:
            return windows[0] if windows else Window(0, 0)
        return Window(max(window.batch for window in windows), max(window.most for window in windows))

    def ran(self, ref: str, report: PassReport) -> None:
        """A forward pass of a version ended."""
        model = self._models[ref]
        model.sums = model.sums.plus(report)
        if not report.items:
            return
        item_cost = report.cost / report.items
        model.varies |= report.padding > 0 or model.item_cost not in (None, item_cost)
        model.item_cost = item_cost
        model.job_s = job_time_after(
            model.job_s, report.took_s / report.items, is_full=2 * report.items >= model.max_batch
        )

    def chose(self, ref: str, *, jobs: int, left: int) -> None:
        """The child took so many for a pass and left others waiting: if it does, more a pass are hardly of use."""
        model = self._models[ref]
        if left:
            model.chosen = max(jobs, 0.9 * model.chosen + 0.1 * jobs)
        else:
            model.chosen = min(model.max_batch, 2 * model.chosen)

    def waits(self, ref: str, *, jobs: int, seconds: float) -> None:
        """So many jobs wait in the child, and so long will they take."""
        self._models[ref].staged_job_s = seconds / jobs if jobs else 0.0

    def learned(self, ref: str, state: bytes) -> None:
        """The child knows a version's speed better."""
        if (model := self._models.get(ref)) is not None:
            model.costs = CostModel.from_bytes(state)

    def refused(self, ref: str, error: str, now: float) -> None:
        """A version could not be loaded."""
        model = self._models[ref]
        model.state, model.error, model.asked, model.host_bytes = ModelState.FAILED, error, False, 0
        model.retry_at = now + model.backoff.next_s()

    def suspend(self, ref: str, error: str, until: float) -> None:
        """A version that is loaded is not to run before then; it is loaded anew."""
        model = self._models[ref]
        model.state, model.error, model.asked, model.retry_at = ModelState.FAILED, error, False, until

    def child_lost(self, refs: Collection[str]) -> None:
        """The process that had these loaded is gone."""
        for model in (self._models[ref] for ref in refs):
            model.asked, model.host_bytes = False, 0
            if model.state is ModelState.READY:
                model.state = ModelState.LOADING

    def is_ready(self, ref: str) -> bool:
        """Tell whether the version can run now."""
        model = self._models.get(ref)
        return model is not None and model.state is ModelState.READY

    def ready(self) -> dict[str, int]:
        """The versions that can run, with their largest batch."""
        return {ref: m.max_batch for ref, m in self._models.items() if m.state is ModelState.READY}

    def job_s(self, ref: str) -> float | None:
        """Seconds that a job takes in a full pass, None before the first pass."""
        return self._models[ref].full_job_s()

    def is_cold(self, ref: str) -> bool:
        """Tell whether a version is not loaded for want of memory."""
        return self._models[ref].is_cold

    def refs(self) -> list[str]:
        """Every version that was ever wanted."""
        return list(self._models)

    def presence(self) -> dict[str, ModelPresence]:
        """What others may know; may be asked from any thread."""
        return {
            ref: ModelPresence(
                state=m.state,
                error=m.error,
                cold=m.is_cold,
                parked=m.host_bytes > 0,
                host_bytes=m.host_bytes,
                job_s=m.full_job_s(),
                **m.sums._asdict(),
            )
            for ref, m in list(self._models.items())
        }
