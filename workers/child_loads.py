"""ChildLoads: how model versions come into the child and go. The main thread calls it, between two passes."""

import gc
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import BinaryIO

from headrace.errors import HeadraceError
from headrace.failpoints import failpoint
from workers.frames import Frame, encode
from workers.inbox import Load
from workers.loaded_models import LoadedModels
from workers.memory_meter import MemoryMeter
from workers.parking import Parking
from workers.residency import Footprint
from workers.runtime import Runtime

log = logging.getLogger("headrace.child")

#: New objects after which the collector looks for cycles: Python's 700 are made by every batch, and hold none.
_YOUNG_OBJECTS = 20_000


class ChildLoads:
    """Loads versions, parks them and lets them go; tells the parent what came of it and what is in use.

    Args:
        up: the pipe to the parent; what is told goes with its next flush.
        models: what is loaded.
        memory: tells what is in use of the device.
        finish: returns when nothing of a pass is in hand any more.
        progressed: told by a model how far an input of its batch is, by place: fraction and message.
    """

    def __init__(
        self,
        *,
        up: BinaryIO,
        models: LoadedModels,
        memory: MemoryMeter,
        finish: Callable[[], None],
        progressed: Callable[[Runtime, int, float, str], None],
    ) -> None:
        self._up = up
        self._models = models
        self._memory = memory
        self._parking = Parking(models=models, memory=memory, host=MemoryMeter("cpu"))
        self._finish = finish
        self._progressed = progressed

    def load(self, task: Load) -> None:
        """Have a version here, from host memory if it was parked there; one that is here is loaded anew."""
        failpoint("child.before_load")
        ref = task.ref
        if (footprint := self._parking.bring_back(ref)) is not None:
            log.info("%s is back from host memory after %.2f s", ref, footprint.return_s)
            return self._tell_loaded(ref, footprint)
        if self._models.get(ref) is not None:
            # It was suspended. Beside its former self it would need twice the memory, and seem to need none.
            self._let_go(ref)
        began, before_bytes = time.monotonic(), self._memory.used_bytes()
        self._memory.reset_peak()
        if refusal := self._attempt(task):
            # What the failed load has left goes first, and its former self is gone already.
            self._memory.give_back()
            return self._say(Frame.REFUSED, ref, refusal, self._memory.used_bytes())
        self._settle()
        took_s, used_bytes = time.monotonic() - began, self._memory.used_bytes()
        size_bytes = max(used_bytes - before_bytes, 0)
        extra_bytes = self._memory.peak_bytes() - before_bytes - size_bytes
        log.info("%s loaded in %.1f s; it uses %.0f MB", ref, took_s, size_bytes / 1e6)
        return self._tell_loaded(ref, self._parking.loaded(ref, Footprint(size_bytes, extra_bytes, took_s)))

    def unload(self, ref: str) -> None:
        """Let a version go."""
        self._let_go(ref)
        self._settle()
        self._say(Frame.UNLOADED, ref, self._memory.used_bytes())

    def park(self, ref: str) -> None:
        """Let a version go that stays in host memory, if it can."""
        self._finish()
        copied = self._parking.park(ref)
        self._settle()
        if copied is None:
            self._say(Frame.UNLOADED, ref, self._memory.used_bytes())
        else:
            log.info("%s is parked: %.0f MB of host memory", ref, copied.host_bytes / 1e6)
            self._say(Frame.PARKED, ref, *copied, self._memory.used_bytes())

    def _attempt(self, task: Load) -> str:
        """Load a version; answers why that failed, empty if it did not."""
        try:
            runtime = self._models.load(task.ref, task.state)
            runtime.spares = task.spares
            runtime.listen(partial(self._progressed, runtime))
        except HeadraceError as error:
            return error.detail
        except Exception as error:
            log.exception("%s cannot be loaded", task.ref)
            return f"{type(error).__name__}: {error}"
        return ""

    def _let_go(self, ref: str) -> None:
        """Nothing of it is in hand: passes are finished before anything else is done."""
        self._finish()
        self._models.unload(ref)
        self._memory.give_back()

    def _settle(self) -> None:
        """What models bring along stays; no collection should walk through it in the middle of a pass."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(_YOUNG_OBJECTS)

    def _tell_loaded(self, ref: str, footprint: Footprint) -> None:
        self._say(Frame.LOADED, ref, self._models.limits[ref].max_batch, footprint, self._memory.used_bytes())

    def _say(self, kind: Frame, *fields: object) -> None:
        self._up.write(encode(kind, *fields))
