"""ModelLoads: versions come and go in the child as `residency` plans: wanted -> loaded -> made way for others."""

import logging
import time
from collections.abc import Callable, Collection, Mapping

from workers.children import SHARED
from workers.held_jobs import HeldJobs
from workers.path_parts import PathParts
from workers.residency import NOTHING, Footprint
from workers.served_models import ServedModels
from workers.tally import Tally

log = logging.getLogger("headrace.path")


class ModelLoads:
    """Has versions loaded and unloaded, and keeps what becomes of each.

    Args:
        parts: of the path that their jobs take.
        models: how far each version has come.
        held: the jobs that are here; their versions stay.
        tally: counts loads.
        on_models: called whenever the set of versions that can run has changed by a plan.
    """

    def __init__(
        self, *, parts: PathParts, models: ServedModels, held: HeldJobs, tally: Tally, on_models: Callable[[], None]
    ) -> None:
        self._children, self._residency, self._costs = parts.children, parts.residency, parts.costs
        self._moves, self._passing_on = parts.moves, parts.passing_on
        self._models = models
        self._held = held
        self._tally = tally
        self._on_models = on_models
        self._misfits: Mapping[str, str] = {}

    def want(self, refs: Collection[str]) -> None:
        """Serve these as well, each as soon as it is known what others learned of it."""
        self._models.want(self._costs.settled(refs, time.monotonic()))
        self.load_due()

    def expect(self, footprints: Mapping[str, Footprint], misfits: Mapping[str, str]) -> None:
        """What versions that were never loaded here will probably need, and why some are not for this worker."""
        self._misfits = misfits
        for ref, footprint in footprints.items():
            self._residency.expect(ref, footprint)

    def load_due(self) -> None:
        """Have the child load what it should and may load now, and unload what makes way for that."""
        now, busy = time.monotonic(), {held.ref for held in self._held.all()}
        closed = set(self._residency.leaving)
        self._refuse_misfits(now)
        loadable = [ref for ref in self._models.loadable(now) if self._children.may_load(ref)]
        plan = self._residency.plan(loadable, busy=busy, now=now)
        for ref in plan.unload:
            self._models.unload(ref)
            self._children.unload(ref)
        for ref in plan.park:
            self._park(ref)
        for ref in plan.load:
            self._models.begin_load(ref)
            self._moves.loading(ref)
            self._children.load(ref, self._costs[ref], spares=self._passing_on.can_all(ref))
        if plan != NOTHING or closed != self._residency.leaving:
            self._on_models()

    def _park(self, ref: str) -> None:
        # What is suspended is to be loaded anew, and a copy of it would be the same.
        is_sound = self._models.is_ready(ref)
        self._models.unload(ref)
        if is_sound:
            self._children.park(ref)
        else:
            self._children.unload(ref)

    def _refuse_misfits(self, now: float) -> None:
        for ref in self._models.loadable(now):
            if why := self._misfits.get(ref) or self._residency.misfit(ref):
                log.info("%s is not loaded: %s", ref, why)
                self._models.refused(ref, why, now)

    # --- what the child says

    def learned(self, ref: str, state: bytes) -> None:
        """The child knows a version's speed better."""
        self._models.learned(ref, state)
        self._costs.learned(ref, state)

    def loaded(self, ref: str, max_batch: int, footprint: Footprint, used_bytes: int) -> None:
        """A version can run."""
        self._models.loaded(ref, max_batch)
        process = self._children.process_of(ref)
        # A process of its own ends with its version, and would hold more of the device than the copy saves.
        footprint = footprint._replace(can_park=footprint.can_park and process == SHARED)
        self._residency.loaded(ref, footprint, used_bytes=used_bytes, now=time.monotonic(), process=process)
        self._tally.of(ref).load_s.add(footprint.came_s)
        self._moves.loaded(ref, footprint.came_s)

    def refused(self, ref: str, error: str, used_bytes: int) -> None:
        """A version cannot run here; it is tried again after a pause."""
        log.error("%s cannot be loaded: %s", ref, error)
        self._moves.refused(ref, error)
        self._models.refused(ref, error, time.monotonic())
        process = self._children.process_of(ref)
        self._residency.refused(ref, used_bytes=used_bytes, now=time.monotonic(), process=process)

    def unloaded(self, ref: str, used_bytes: int | None) -> None:
        """A version has made way, on the device or, where it was parked, in host memory: let in what that was for."""
        log.info("%s made way for others; its process uses %.0f MB", ref, (used_bytes or 0) / 1e6)
        was_parked = self._residency.is_parked(ref)
        self._residency.unloaded(ref, used_bytes=used_bytes, process=self._children.process_of(ref))
        if was_parked:
            self.load_due()
        else:
            self._made_way(ref)

    def parked(self, ref: str, host_bytes: int, took_s: float, used_bytes: int) -> None:
        """A version has made way, and stays in host memory: let in what that was for."""
        log.info("%s made way for others; its copy takes %.0f MB of host memory", ref, host_bytes / 1e6)
        self._models.parked(ref, host_bytes)
        self._residency.parked(ref, host_bytes, took_s, used_bytes=used_bytes, now=time.monotonic())
        self._made_way(ref)

    def copy_lost(self, ref: str, cause: str) -> None:
        """A process is gone while it copied a version to host memory or back: that is not done again."""
        log.error("%s: a copy of it took its process along (%s): it is not parked in host memory again", ref, cause)
        self._residency.do_not_park(ref)

    def _made_way(self, ref: str) -> None:
        self._tally.of(ref).unloads += 1
        self._moves.made_way(ref, self._residency.coming or "")
        self.load_due()
