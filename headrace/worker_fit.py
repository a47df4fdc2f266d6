"""Which worker class can run which model version: what a version needs against what a class has. Pure."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

from headrace.model_options import ModelOptions
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass


class Needs(NamedTuple):
    """What a version needs of a worker. A `memory_bytes` of 0: nobody knows."""

    device: str = "any"
    memory_bytes: int = 0
    labels: tuple[str, ...] = ()
    #: Memory that some of its jobs have outgrown, when they alone are looked at.
    outgrown_bytes: int = 0

    @classmethod
    def of(cls, options: ModelOptions) -> "Needs":
        """As its author says."""
        return cls(options.device, options.memory_bytes, options.labels)


#: What a version needs of which nothing is known.
NOTHING = Needs()


def misfit(kind: WorkerClass, needs: Needs) -> str:
    """Why workers of a class cannot run a version; empty if they can."""
    if needs.device == "cuda" and not kind.device.startswith("cuda"):
        return f"runs on cuda only, and the device is {kind.device}"
    if 0 < kind.memory_bytes < needs.memory_bytes:
        return f"needs {needs.memory_bytes / 1e6:,.0f} MB, and there are {kind.memory_bytes / 1e6:,.0f} MB"
    if 0 < kind.memory_bytes <= needs.outgrown_bytes:
        return f"has outgrown {needs.outgrown_bytes / 1e6:,.0f} MB, and there are {kind.memory_bytes / 1e6:,.0f} MB"
    if missing := sorted(set(needs.labels).difference(kind.labels)):
        return f"needs a worker with the label {' and '.join(missing)}"
    return ""


def serves(kind: WorkerClass, model: str, tier: Tier, needs: Needs = NOTHING) -> bool:
    """Tell whether workers of a class take jobs of a model and tier, and can run them."""
    return tier in kind.tiers and any(fnmatchcase(model, name) for name in kind.models) and not misfit(kind, needs)


def has_larger(classes: Mapping[str, WorkerClass], size_bytes: int, model: str, tier: Tier, needs: Needs) -> bool:
    """Tell whether a class with more memory than this could run a version's jobs of a tier."""
    needs = needs._replace(outgrown_bytes=size_bytes)
    larger = (kind for kind in classes.values() if kind.max_workers > 0)
    return size_bytes > 0 and any(serves(kind, model, tier, needs) for kind in larger)


def nowhere(classes: Mapping[str, WorkerClass], model: str, tier: Tier, needs: Needs) -> str:
    """Why no worker class can run a version's jobs of a tier, though some serve it; empty if one can, or none does."""
    serving = {name: kind for name, kind in classes.items() if serves(kind, model, tier)}
    reasons = {name: misfit(kind, needs) for name, kind in serving.items()}
    if not reasons or not all(reasons.values()):
        return ""
    return f"no worker class can run it: {'; '.join(f'{name}: it {why}' for name, why in sorted(reasons.items()))}"
