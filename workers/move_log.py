"""MoveLog: tells what this worker loads and unloads, for the timelines of the jobs that wait for it."""

import logging

from headrace.keys import Keys
from headrace.model_moves import ModelMove, MoveKind, note_move
from workers.wire import Wire

log = logging.getLogger("headrace.residency")


class MoveLog:
    """Never waits, and what cannot be told is left untold: nothing depends on it."""

    def __init__(self, *, wire: Wire, keys: Keys, worker: str) -> None:
        self._wire = wire
        self._keys = keys
        self._worker = worker

    def loading(self, ref: str) -> None:
        """A version is to be loaded."""
        self._note(ModelMove(MoveKind.LOADING, ref, self._worker), ref)

    def loaded(self, ref: str, took_s: float) -> None:
        """It was."""
        self._note(ModelMove(MoveKind.LOADED, ref, self._worker, took_s=took_s), ref)

    def refused(self, ref: str, error: str) -> None:
        """It could not be."""
        self._note(ModelMove(MoveKind.REFUSED, ref, self._worker, detail=error), ref)

    def made_way(self, ref: str, other: str) -> None:
        """It gave way to another version, if that is known: jobs of both waited for that."""
        for of in filter(None, (ref, other)):
            self._note(ModelMove(MoveKind.UNLOADED, ref, self._worker, detail=other), of)

    def _note(self, move: ModelMove, of: str) -> None:
        if self._wire.is_open:
            for op in note_move(self._keys, of, move):
                self._wire.send(op, lambda _: None, self._untold)

    def _untold(self, error: Exception) -> None:
        log.warning("what was loaded or unloaded is not told: %s", error)
