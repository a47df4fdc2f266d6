"""LoadedModels: the model versions that the child has loaded, what bounds their batches, what was learned of them."""

import logging
import time
from pathlib import Path

import orjson

from headrace.job_errors import error_document
from headrace.jobs import Cause
from headrace.model_ref import ModelRef
from headrace.tiers import Tier
from registry.cache import version_folder
from registry.cache_room import CacheRoom
from registry.manifest import Manifest
from registry.progress import LoggedProgress
from registry.registry import Registry
from registry.source import forget_source
from workers.batcher import Limits
from workers.cost_model import CostModel
from workers.failures import ItemResult
from workers.memory_cap import memory_cap
from workers.oom_limit import OomLimit
from workers.runtime import Forwarded, Runtime

log = logging.getLogger("headrace.child")

#: What was learned is told at most so often.
_TELL_S = 5.0
#: So many passes are all learned from; of those that are like the one before only each fourth afterwards.
_LEARNING, _NOW_AND_THEN = 100, 4


class LoadedModels:
    """Versions by name. `limits` is what the batcher asks."""

    def __init__(
        self, *, registry: Registry, cache: Path, device: str, cache_max_bytes: int = 1 << 40, load_bytes: int = 0
    ) -> None:
        self._registry = registry
        self._cache = cache
        self._room = CacheRoom(cache_dir=cache, max_bytes=cache_max_bytes)
        self._device = device
        self._load_bytes = load_bytes
        self._runtimes: dict[str, Runtime] = {}
        #: Those whose weights are in host memory: they have no `limits`, so that no batch is formed of them.
        self._parked: dict[str, tuple[Runtime, Limits]] = {}
        self._told_at: dict[str, float] = {}
        #: Passes since the load, and the size of the last one.
        self._passes: dict[str, tuple[int, int]] = {}
        self.limits: dict[str, Limits] = {}

    def get(self, ref: str) -> Runtime | None:
        """A loaded version."""
        return self._runtimes.get(ref)

    def load(self, ref: str, state: bytes) -> Runtime:
        """Fetch, verify and load a version, which begins with what others have learned of it.

        Raises:
            HeadraceError: if it is not there, damaged, cannot be used, or needs more memory than it may have.
            Exception: whatever the author's `load` raises.
        """
        costs, memory = _learned(ref, state)
        manifest = self._registry.manifest(ModelRef.parse(ref))
        folder = version_folder(self._cache, manifest)
        try:
            self._fetch(manifest, folder)
            with memory_cap(self._load_bytes, of=ref):
                runtime = Runtime.load(folder=folder, manifest=manifest, device=self._device, memory=memory)
        except Exception:
            self._room.let_go(folder)
            raise
        self._runtimes[ref] = runtime
        self.limits[ref] = _limits(runtime, costs)
        self._told_at[ref] = time.monotonic()
        return runtime

    def _fetch(self, manifest: Manifest, folder: Path) -> None:
        """Bring a version's files, which stay on this disk as long as the version is loaded."""
        self._room.hold(folder)
        self._room.make(0 if folder.exists() else manifest.size_bytes)
        self._registry.fetch(manifest.ref, self._cache, LoggedProgress(name=str(manifest.ref)))

    def is_parked(self, ref: str) -> bool:
        """Tell whether a version is in host memory."""
        return ref in self._parked

    def park(self, ref: str) -> None:
        """Have a version copied to host memory; what it used of the device is free once garbage is collected.

        Raises:
            Exception: whatever the author's `to_host` raises; the version is in no state to be used.
        """
        self._runtimes[ref].to_host()
        self._parked[ref] = self._runtimes.pop(ref), self.limits.pop(ref)

    def bring_back(self, ref: str) -> None:
        """Have a parked version copied back onto the device.

        Raises:
            Exception: whatever the author's `to_device` raises; the version is in no state to be used.
        """
        runtime, limits = self._parked[ref]
        runtime.to_device()
        del self._parked[ref]
        self._runtimes[ref], self.limits[ref] = runtime, limits

    def unload(self, ref: str) -> None:
        """Forget a version, parked or not; what it used is free once garbage is collected."""
        parked, _ = self._parked.pop(ref, (None, None))
        runtime = self._runtimes.pop(ref, parked)
        for of_version in (self.limits, self._told_at, self._passes):
            of_version.pop(ref, None)
        if runtime is not None:
            manifest = runtime.manifest
            runtime.close()
            forget_source(manifest.digest)
            self._room.let_go(version_folder(self._cache, manifest))

    def learn(self, ref: str, forwarded: Forwarded, took_s: float) -> None:
        """A pass of a version took so long. One that failed on the way says nothing about time."""
        limits, runtime = self.limits[ref], self._runtimes[ref]
        if forwarded.runs == 1 and self._is_news(ref, forwarded.items):
            limits.costs.observe(forwarded.cost, forwarded.items, took_s)
        if runtime.memory.cost != limits.memory_cost:
            self.limits[ref] = limits._replace(memory_cost=runtime.memory.cost)

    def _is_news(self, ref: str, items: int) -> bool:
        """Tell whether a pass should be learned from: always at first, later if it is unlike the one before."""
        passes, last = self._passes.get(ref, (0, 0))
        self._passes[ref] = passes + 1, items
        return passes < _LEARNING or items != last or passes % _NOW_AND_THEN == 0

    def state_to_tell(self, ref: str) -> bytes | None:
        """What is known of a version by now, for others; None if that was told a moment ago."""
        now = time.monotonic()
        if now - self._told_at[ref] < _TELL_S:
            return None
        self._told_at[ref] = now
        return orjson.dumps(
            [self.limits[ref].costs.to_bytes().decode(), self._runtimes[ref].memory.to_bytes().decode()]
        )


def not_loaded(ref: str) -> ItemResult:
    """How a job ends that came before its model."""
    body = error_document(Cause.INTERNAL, f"{ref} is not loaded here", retryable=True)
    return ItemResult(ok=False, cause=Cause.INTERNAL, body=body)


def _learned(ref: str, state: bytes) -> tuple[CostModel, OomLimit]:
    """What `state_to_tell` said elsewhere; nothing if it cannot be read."""
    if not state:
        return CostModel(), OomLimit()
    try:
        costs, memory = orjson.loads(state)
        return CostModel.from_bytes(costs.encode()), OomLimit.from_bytes(memory.encode())
    except (ValueError, TypeError, AttributeError):
        log.warning("what was learned of %s elsewhere cannot be read; it is learned anew", ref)
        return CostModel(), OomLimit()


def _limits(runtime: Runtime, costs: CostModel) -> Limits:
    options = runtime.manifest.options
    standard_ms, spot_ms = (options.max_wait_ms.get(tier, 0.0) for tier in (Tier.STANDARD, Tier.SPOT))
    return Limits(
        costs,
        max_batch=runtime.max_batch,
        sized=runtime.is_sized,
        max_cost=options.max_cost or float("inf"),
        memory_cost=runtime.memory.cost,
        max_wait_s=(0.0, standard_ms / 1000, spot_ms / 1000),
    )
