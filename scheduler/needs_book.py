"""NeedsBook: what each model version needs of a worker, read from its manifest once."""

import logging
import time
from collections.abc import Callable

from headrace.errors import HeadraceError
from headrace.model_ref import ModelRef
from headrace.worker_fit import NOTHING, Needs
from registry.registry import Registry

log = logging.getLogger("headrace.scaling")

#: What could not be read is read again after this time.
_PAUSE_S = 30.0


class NeedsBook:
    """Never raises: of what cannot be read nothing is known."""

    def __init__(self, *, registry: Registry, clock: Callable[[], float] = time.monotonic) -> None:
        self._registry = registry
        self._clock = clock
        self._known: dict[ModelRef, Needs] = {}
        self._again_at: dict[ModelRef, float] = {}

    def of(self, ref: ModelRef) -> Needs:
        """What a version needs."""
        if ref not in self._known and self._clock() >= self._again_at.get(ref, 0.0):
            self._read(ref)
        return self._known.get(ref, NOTHING)

    def _read(self, ref: ModelRef) -> None:
        try:
            self._known[ref] = Needs.of(self._registry.manifest(ref).options)
        except HeadraceError as error:
            log.warning("what %s needs of a worker cannot be seen: %s", ref, error)
            self._again_at[ref] = self._clock() + _PAUSE_S
