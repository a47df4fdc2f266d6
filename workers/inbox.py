"""Inbox: what the parent has sent and the child has not begun. The intake fills it, the main thread empties it.

The preparer looks into it for what to make ready while a pass runs.
"""

import threading
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from workers.batcher import Batch, Batcher, Limits, Wait, WaitingJob
from workers.failures import ItemResult
from workers.frames import Frame, Message
from workers.runtime import Staged


class Load(NamedTuple):
    """A model version to load, and what others have learned of its speed."""

    ref: str
    state: bytes
    #: True if jobs that would run out of memory are spared that.
    spares: bool = False


class Unload(NamedTuple):
    """A model version that gives way to others."""

    ref: str


class Park(NamedTuple):
    """A model version that gives way to others, and stays in host memory."""

    ref: str


class Wanted(NamedTuple):
    """Jobs of one version that must be staged before the next batch can be formed: their costs decide who joins."""

    ref: str
    jobs: list[WaitingJob]


Task: TypeAlias = Load | Unload | Park | Wanted | Batch


class Inbox:
    """Shared by the threads of the child."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._to_prepare = threading.Condition(self._lock)
        self._loads: deque[Load | Unload | Park] = deque()
        self._batcher = Batcher()
        self._staged: dict[int, Staged | ItemResult] = {}
        self._alone: set[int] = set()
        self._finishing = False
        self._passes = 0
        #: Number of the running pass if jobs may be prepared beside it, else 0.
        self.beside = 0

    # --- for the intake

    def put(self, message: Message) -> None:
        """Take a message of the parent."""
        with self._lock:
            match message:
                case [Frame.JOBS, ref, alone, rows, *apart] if not self._finishing:
                    self._add(ref, list(map(WaitingJob._make, rows)), alone=alone, apart=apart)
                case [Frame.LOAD, ref, state, spares]:
                    self._loads.append(Load(ref, state, spares))
                case [Frame.UNLOAD, ref]:
                    self._loads.append(Unload(ref))
                case [Frame.PARK, ref]:
                    self._loads.append(Park(ref))
                case [Frame.DROP, slots]:
                    self._drop(slots)
                case [Frame.FINISH]:
                    self._finishing = True
                    self._batcher.clear()
            if self.beside:
                self._to_prepare.notify()

    def _add(self, ref: str, jobs: list[WaitingJob], *, alone: bool, apart: Collection[int]) -> None:
        self._batcher.add(ref, jobs, now=time.monotonic(), alone=alone, apart=apart)
        if alone:
            self._alone.update(job.slot for job in jobs)

    def _drop(self, slots: Sequence[int]) -> None:
        for slot in slots:
            self._batcher.remove(slot)
            self._staged.pop(slot, None)
            self._alone.discard(slot)

    # --- for the main thread

    def take(self, limits: Mapping[str, Limits]) -> Task | None:
        """Something to do now, None if there is nothing."""
        task = self.next(limits)
        return None if isinstance(task, Wait) else task

    def next(self, limits: Mapping[str, Limits]) -> Task | Wait | None:
        """The same, or until when nothing should be done though something is here."""
        with self._lock:
            if self._loads:
                return self._loads.popleft()
            if (wanted := self._batcher.wanted(limits)) is not None:
                return Wanted(*wanted)
            return self._batcher.next_batch(time.monotonic(), limits)

    @property
    def has_more(self) -> bool:
        """True if there is something to do, soon or now."""
        return bool(self._loads) or not self._batcher.is_empty

    def staged_s(self, limits: Mapping[str, Limits]) -> float:
        """Seconds of work that wait here, by the cost models."""
        if self._batcher.is_empty:
            return 0.0
        with self._lock:
            return self._batcher.staged_s(limits)

    def runs_alone(self, batch: Batch) -> bool:
        """Tell, once, whether this batch is a suspect, beside which nothing else should run."""
        slot = batch.jobs[0].slot
        is_alone = slot in self._alone
        self._alone.discard(slot)
        return is_alone

    def open_beside(self) -> None:
        """A pass begins, and the preparer may work beside it."""
        with self._lock:
            self._passes += 1
            self.beside = self._passes
            self._to_prepare.notify()

    def close_beside(self) -> None:
        """The pass is over; the preparer completes the item that it is at."""
        self.beside = 0

    # --- for whoever prepares

    def wait_for_unprepared(self, limit: int) -> tuple[int, Sequence[tuple[str, WaitingJob]]]:
        """Wait until a pass runs and there is something to prepare beside it.

        Answers the number of the pass, after which others may have taken them, and up to `limit` jobs in the order in
        which they will be wanted.
        """
        with self._to_prepare:
            while not (self.beside and (jobs := self._batcher.unprepared(limit))):
                self._to_prepare.wait()
            return self.beside, jobs

    def wait_for_another_pass(self, number: int) -> None:
        """Wait until a pass runs that jobs may be prepared beside, and it is not this one."""
        with self._to_prepare:
            while self.beside in (0, number):
                self._to_prepare.wait()

    @property
    def staged(self) -> int:
        """How many jobs that wait have been prepared."""
        return len(self._staged)

    def keep(self, prepared: Sequence[tuple[int, Staged | ItemResult]]) -> None:
        """Keep the prepared inputs of jobs, by slot, until their batches run; of those that were called off, nothing.

        One that was refused gets its result with its batch.
        """
        with self._lock:
            for slot, staged in prepared:
                if self._batcher.prepared(slot, staged.cost if type(staged) is Staged else 0.0):
                    self._staged[slot] = staged

    def claim(self, jobs: Sequence[WaitingJob]) -> list[Staged | ItemResult | None]:
        """Take the prepared inputs of a batch out; None for each that nobody has prepared."""
        if not self._staged:
            return [None] * len(jobs)
        return [self._staged.pop(job.slot, None) for job in jobs]

    def is_staged(self, slot: int) -> bool:
        """Tell whether a job's input has been prepared."""
        return slot in self._staged
