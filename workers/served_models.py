"""ServedModels: which model versions this worker should serve, and how far each has come. Pure."""

from collections.abc import Collection
from dataclasses import dataclass, field

from headrace.presence import ModelPresence, ModelState
from workers.backoff import Backoff


@dataclass
class _Served:
    state: ModelState = ModelState.LOADING
    error: str = ""
    max_batch: int = 0
    jobs: int = 0
    busy_s: float = 0.0
    job_s: float | None = None
    #: True once the child has been asked to load it.
    asked: bool = False
    retry_at: float = 0.0
    backoff: Backoff = field(default_factory=lambda: Backoff(first_s=1.0, most_s=60.0))


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

    def due(self, now: float) -> list[str]:
        """Versions that the child should load now; each is answered once."""
        due = [
            ref
            for ref, model in self._models.items()
            if not model.asked and (model.state is ModelState.LOADING or model.retry_at <= now)
        ]
        for ref in due:
            self._models[ref].asked = True
            self._models[ref].state = ModelState.LOADING
        return due

    def loaded(self, ref: str, max_batch: int) -> None:
        """A version can run."""
        model = self._models[ref]
        model.state, model.error, model.max_batch = ModelState.READY, "", max_batch
        model.backoff.reset()

    def ran(self, ref: str, *, jobs: int, took_s: float) -> None:
        """A forward pass of a version ended."""
        model = self._models[ref]
        model.jobs += jobs
        model.busy_s += took_s
        model.job_s = job_time_after(model.job_s, took_s / jobs, is_full=2 * jobs >= model.max_batch)

    def refused(self, ref: str, error: str, now: float) -> None:
        """A version could not be loaded."""
        model = self._models[ref]
        model.state, model.error, model.asked = ModelState.FAILED, error, False
        model.retry_at = now + model.backoff.next_s()

    def child_lost(self) -> None:
        """The process that had them loaded is gone."""
        for model in self._models.values():
            model.asked = False
            if model.state is ModelState.READY:
                model.state = ModelState.LOADING

    def is_ready(self, ref: str) -> bool:
        """Tell whether the version can run now."""
        model = self._models.get(ref)
        return model is not None and model.state is ModelState.READY

    def ready(self) -> dict[str, int]:
        """The versions that can run, with their largest batch."""
        return {ref: m.max_batch for ref, m in self._models.items() if m.state is ModelState.READY}

    def presence(self) -> dict[str, ModelPresence]:
        """What others may know; may be asked from any thread."""
        return {
            ref: ModelPresence(state=m.state, error=m.error, jobs=m.jobs, busy_s=round(m.busy_s, 6), job_s=m.job_s)
            for ref, m in list(self._models.items())
        }
