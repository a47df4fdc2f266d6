"""Fit: whether any worker class that there is could run a version, so that a job that none can is told at once."""

from collections.abc import Mapping, Sequence

from api.catalog import Catalog
from headrace import worker_fit
from headrace.model_ref import ModelRef
from headrace.presence import WorkerPresence
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass
from headrace.worker_fit import Needs


class Fit:
    """What versions need is known from the catalog, what classes have from the settings."""

    def __init__(self, *, catalog: Catalog, classes: Mapping[str, WorkerClass]) -> None:
        self._catalog = catalog
        self._classes = classes

    def nowhere(self, ref: ModelRef, tier: Tier, workers: Sequence[WorkerPresence], outgrown_bytes: int = 0) -> str:
        """Why no class can run jobs of a version and tier; empty if one can, or that cannot be told from here.

        Those that have outgrown so many bytes of memory need more.
        """
        model = self._catalog.known(ref.name)
        served = None if model is None else model.versions.get(ref.version)
        # Workers of other classes than ours: whoever set them up has other settings.
        are_known = all(worker.worker_class in self._classes for worker in workers)
        if served is None or not are_known:
            return ""
        needs = Needs.of(served.manifest.options)._replace(outgrown_bytes=outgrown_bytes)
        return worker_fit.nowhere(self._classes, ref.name, tier, needs)
