"""Preparer: stages inputs (decode, check, preprocess) beside the forward pass, for the next one.

One by one, so that the pass need not wait for more than the one under way when it has ended; or, of a model that says
how, as many together as fill a batch. Then the interpreter changes hands once for all, which even a pass that is mostly
Python hardly notices.
"""

import math
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import NamedTuple, TypeAlias

from workers.batcher import WaitingJob
from workers.failures import ItemResult
from workers.inbox import Inbox
from workers.loaded_models import LoadedModels, not_loaded
from workers.overlap import LONG_PASS_S
from workers.runtime import Given, Runtime, Staged
from workers.stage_marks import MOST_TOGETHER, Stage, StageMarks
from workers.vital_thread import start_vital

#: Jobs that are staged one by one before it is looked whether a more urgent one has come.
_AT_ONCE = 8

#: A job's slot and what was made of its input.
_Kept: TypeAlias = tuple[int, Staged | ItemResult]


class _Pass(NamedTuple):
    """What is worked beside: when it should end (`perf_counter`), and if only what goes together may be staged."""

    ends_at: float
    only_together: bool


class Preparer:
    """One thread that works while `beside` is open; the main thread stages what is still missing by itself.

    The hooks of a model are never called by two threads at once.
    """

    def __init__(self, *, inbox: Inbox, models: LoadedModels, marks: StageMarks) -> None:
        self._inbox = inbox
        self._models = models
        self._marks = marks
        self._hooks = threading.Lock()
        self._pass = _Pass(0.0, only_together=False)

    def start(self) -> None:
        """Start the thread, which ends with the process."""
        start_vital("preparer", self._run)

    def company(self, runtime: Runtime, *, jobs: int, expected_s: float) -> AbstractContextManager[None]:
        """What a pass of so many jobs runs in: the thread works beside it if it should, on a batch like this one.

        What is staged together hardly disturbs a pass, so there it does not matter whether stages overlap otherwise.
        """
        may_be = runtime.overlap.is_on or (runtime.stages_together and runtime.overlap.is_allowed)
        if expected_s > LONG_PASS_S and may_be and runtime.staging.is_worth_a_thread(jobs):
            return self.beside(expected_s=expected_s, only_together=not runtime.overlap.is_on)
        return nullcontext()

    @contextmanager
    def beside(self, *, expected_s: float = math.inf, only_together: bool = False) -> Iterator[None]:
        """Let the thread work while the caller runs a pass that should take so long."""
        self._pass = _Pass(time.perf_counter() + expected_s, only_together)
        self._inbox.open_beside()
        try:
            yield
        finally:
            self._inbox.close_beside()

    def stage(self, runtime: Runtime, jobs: Sequence[WaitingJob]) -> list[Staged | ItemResult]:
        """The prepared inputs of a batch, in order; what nobody has prepared is prepared now."""
        with self._hooks, runtime.inference():
            claimed = self._inbox.claim(jobs)
            began = time.perf_counter()
            # Without a mark: these are in the running batch, of which the parent knows.
            missing = [_given(job) for ready, job in zip(claimed, jobs, strict=True) if ready is None]
            found = iter(runtime.stage_all(missing))
            staged = [ready or next(found) for ready in claimed]
            runtime.staging.took(len(missing), time.perf_counter() - began)
            return staged

    def stage_waiting(self, ref: str, jobs: Sequence[WaitingJob]) -> None:
        """Prepare jobs that wait, so that a batch can be chosen among them."""
        with self._hooks:
            self._keep(ref, jobs)

    def _run(self) -> None:
        while True:
            number, jobs = self._inbox.wait_for_unprepared(MOST_TOGETHER)
            lots = self._lots(jobs)
            if not lots:
                self._inbox.wait_for_another_pass(number)
            for ref, lot in lots:
                with self._hooks:
                    # After the pass the main thread has taken what it needs, perhaps these.
                    if self._inbox.beside != number:
                        break
                    self._keep(ref, lot)

    def _lots(self, jobs: Sequence[tuple[str, WaitingJob]]) -> list[tuple[str, list[WaitingJob]]]:
        """What is staged next of these, in their order: several together, or each of a few by itself."""
        ref = jobs[0][0]
        runtime = self._models.get(ref)
        if runtime is not None and runtime.stages_together:
            lot = [job for of, job in jobs if of == ref][: runtime.max_batch]
            return [(ref, lot)] if self._is_time_for(runtime, len(lot)) else []
        return [] if self._pass.only_together else [(ref, [job]) for ref, job in jobs[:_AT_ONCE]]

    def _is_time_for(self, runtime: Runtime, jobs: int) -> bool:
        """Tell whether so many can be staged before the pass ends, or the next one has too few without them."""
        ends_at = time.perf_counter() + runtime.staging.expected_s(jobs)
        return ends_at <= self._pass.ends_at or self._inbox.staged < runtime.max_batch

    def _keep(self, ref: str, jobs: Sequence[WaitingJob]) -> None:
        runtime = self._models.get(ref)
        jobs = [job for job in jobs if not self._inbox.is_staged(job.slot)]
        if runtime is None:
            return self._inbox.keep([(job.slot, not_loaded(ref)) for job in jobs])
        began = time.perf_counter()
        with runtime.inference():
            staged = self._together(runtime, jobs) if runtime.stages_together else self._each(runtime, jobs)
        runtime.staging.took(len(jobs), time.perf_counter() - began)
        self._inbox.keep(staged)
        self._marks.clear(Stage.PREPARE)
        return None

    def _together(self, runtime: Runtime, jobs: Sequence[WaitingJob]) -> list[_Kept]:
        kept: list[_Kept] = []
        for start in range(0, len(jobs), MOST_TOGETHER):
            lot = jobs[start : start + MOST_TOGETHER]
            slots = [job.slot for job in lot]
            self._marks.together(slots)
            kept += zip(slots, runtime.stage_all(list(map(_given, lot))), strict=True)
        return kept

    def _each(self, runtime: Runtime, jobs: Sequence[WaitingJob]) -> list[_Kept]:
        return [(job.slot, self._stage(runtime, job)) for job in jobs]

    def _stage(self, runtime: Runtime, job: WaitingJob) -> Staged | ItemResult:
        self._marks.at(Stage.PREPARE, job.slot)
        return runtime.stage(*_given(job))


def _given(job: WaitingJob) -> Given:
    return job.input, job.state, job.seed
