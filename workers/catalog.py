"""Catalog: a thread that finds out which model versions this worker should serve."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from headrace.errors import HeadraceError
from headrace.groups import outgrown_of, split_group
from headrace.model_ref import ModelRef
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from headrace.worker_class import WorkerClass
from headrace.worker_fit import Needs, misfit
from registry.registry import Registry
from workers.residency import Footprint

log = logging.getLogger("headrace.catalog")

_TIMEOUT_S = 2.0
#: A version of which nobody says what it needs is taken for so many times its files.
_OVER_FILES = 1.25


class Catalog:
    """Every version that gets traffic or copies or has an alias, and every older one that jobs still wait for.

    Args:
        serves: tells, by its name, whether a model is served here; called from the thread.
        poll_s: how often to look.
        kind: what this worker is.
    """

    def __init__(
        self,
        *,
        url: str,
        registry_url: str,
        store: JobStore,
        serves: Callable[[str], bool],
        poll_s: float,
        kind: WorkerClass,
    ) -> None:
        self._url = url
        self._registry_url = registry_url
        self._store = store
        self._serves = serves
        self._poll_s = poll_s
        self._kind = kind
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="headrace-catalog", daemon=True)
        #: True once it was looked for the first time, with success or without.
        self.has_looked = False
        #: Since when there has been something to serve, in Unix milliseconds; 0 if there was at the first look.
        self.found_ms: int | None = None
        #: What to serve, as `name@version`; replaced as a whole, so any thread may read it.
        self.wanted: frozenset[str] = frozenset()
        #: What each of them will probably need, and those whose authors want a process of their own; replaced
        #: likewise, and before, as far as it can be read.
        self.footprints: Mapping[str, Footprint] = {}
        self.apart: frozenset[str] = frozenset()
        #: What each of them needs of a worker, by its author.
        self.needs: Mapping[str, Needs] = {}
        #: Sizes of workers that jobs have outgrown, in bytes of memory.
        self.outgrown: frozenset[int] = frozenset()
        #: Why those of them that this worker cannot run are not for it.
        self.misfits: Mapping[str, str] = {}

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End soon."""
        self._stopping.set()

    def _run(self) -> None:
        registry = Registry(url=self._registry_url)
        redis = SyncRedis(url=self._url, timeout_s=_TIMEOUT_S)
        while not self._stopping.is_set():
            try:
                wanted = frozenset(self._released(registry) | self._waited_for(redis))
                self._learn(registry, wanted.difference(self.footprints))
                if wanted and self.found_ms is None:
                    self.found_ms = time.time_ns() // 1_000_000 if self.has_looked else 0
                self.wanted = wanted
            except HeadraceError as error:
                log.warning("cannot see what to serve: %s", error)
            except Exception:
                log.exception("the catalog goes on after an error")
            self.has_looked = True
            self._stopping.wait(self._poll_s)
        redis.close()

    def _released(self, registry: Registry) -> set[str]:
        return {
            str(ModelRef(release.model, version))
            for release in registry.releases().values()
            for version in {*release.traffic.shares, *release.aliases.values(), *release.shadows}
            if self._serves(release.model)
        }

    def _learn(self, registry: Registry, refs: Iterable[str]) -> None:
        """See what the manifests of versions say that must be known before they are loaded."""
        for ref in refs:
            try:
                manifest = registry.manifest(ModelRef.parse(ref))
            except HeadraceError as error:
                log.warning("what %s needs cannot be seen: %s", ref, error)
                continue
            size_bytes = manifest.options.memory_bytes or int(_OVER_FILES * manifest.size_bytes)
            self.footprints = {**self.footprints, ref: Footprint(size_bytes)}
            self.needs = {**self.needs, ref: Needs.of(manifest.options)}
            if why := misfit(self._kind, self.needs[ref]):
                self.misfits = {**self.misfits, ref: f"it {why}"}
            if manifest.options.isolation == "own":
                self.apart |= {ref}

    def _waited_for(self, redis: SyncRedis) -> set[str]:
        groups = [group for group in redis.run(self._store.groups()) if self._serves(group.partition("@")[0])]
        self.outgrown = frozenset(filter(None, map(outgrown_of, groups)))
        depths = redis.run(self._store.depths(groups)) if groups else []
        return {str(split_group(depth.group)[0]) for depth in depths if depth.depth}
