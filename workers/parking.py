"""Parking: the child's part of the second level of residency. Copies versions to host memory and back, and measures."""

import logging
import time
from typing import NamedTuple

from workers.loaded_models import LoadedModels
from workers.memory_meter import MemoryMeter
from workers.residency import Footprint

log = logging.getLogger("headrace.child")


class Copied(NamedTuple):
    """What a version takes of host memory, and how long its copy there took."""

    host_bytes: int
    took_s: float


class Parking:
    """Of one process.

    Args:
        models: what it has loaded.
        memory: tells what is in use of the device.
        host: tells what is in use of host memory.
    """

    def __init__(self, *, models: LoadedModels, memory: MemoryMeter, host: MemoryMeter) -> None:
        self._models = models
        self._memory = memory
        self._host = host
        #: What those that can be parked needed when they were loaded.
        self._footprints: dict[str, Footprint] = {}

    def loaded(self, ref: str, footprint: Footprint) -> Footprint:
        """Note what a version needed; says also whether it can be parked."""
        runtime = self._models.get(ref)
        self._footprints[ref] = footprint._replace(can_park=runtime is not None and runtime.can_park)
        return self._footprints[ref]

    def park(self, ref: str) -> Copied | None:
        """Copy a version of which nothing is in hand to host memory; None: that failed, and it is unloaded."""
        device_bytes, host_bytes, began = self._memory.used_bytes(), self._host.used_bytes(), time.monotonic()
        try:
            self._models.park(ref)
        except Exception:
            log.exception("%s cannot be parked in host memory: it is unloaded", ref)
            self._models.unload(ref)
            self._memory.give_back()
            return None
        took_s = time.monotonic() - began
        self._memory.give_back()
        # Resident memory that was free before and is used again does not show; what left the device does.
        freed_bytes = device_bytes - self._memory.used_bytes()
        return Copied(max(self._host.used_bytes() - host_bytes, freed_bytes, 0), took_s)

    def bring_back(self, ref: str) -> Footprint | None:
        """Copy a version back onto the device; None if it was not parked, or cannot come back and has to be loaded."""
        if not self._models.is_parked(ref):
            return None
        began = time.monotonic()
        try:
            self._models.bring_back(ref)
        except Exception:
            log.exception("%s cannot come back from host memory: it is loaded anew", ref)
            self._models.unload(ref)
            self._memory.give_back()
            return None
        return self._footprints[ref]._replace(return_s=time.monotonic() - began)
