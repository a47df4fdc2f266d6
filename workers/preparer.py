"""Preparer: stages inputs (decode, check, preprocess) beside the forward pass, for the next one."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from workers.batcher import WaitingJob
from workers.failures import ItemResult
from workers.inbox import Inbox
from workers.loaded_models import LoadedModels, not_loaded
from workers.runtime import Runtime, Staged
from workers.stage_marks import Stage, StageMarks
from workers.vital_thread import start_vital

#: Jobs that are looked up at once; a more urgent one that comes meanwhile waits for these.
_AT_ONCE = 8


class Preparer:
    """One thread that works while `beside` is open; the main thread stages what is still missing by itself.

    The hooks of a model are never called by two threads at once.
    """

    def __init__(self, *, inbox: Inbox, models: LoadedModels, marks: StageMarks) -> None:
        self._inbox = inbox
        self._models = models
        self._marks = marks
        self._hooks = threading.Lock()

    def start(self) -> None:
        """Start the thread, which ends with the process."""
        start_vital("preparer", self._run)

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Let the thread work while the caller runs a pass."""
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
            staged = [ready or runtime.stage(job.input, job.state) for ready, job in zip(claimed, jobs, strict=True)]
            runtime.staging.took(claimed.count(None), time.perf_counter() - began)
            return staged

    def stage_waiting(self, ref: str, jobs: Sequence[WaitingJob]) -> None:
        """Prepare jobs that wait, so that a batch can be chosen among them."""
        with self._hooks:
            self._keep(ref, jobs)

    def _run(self) -> None:
        while True:
            number, jobs = self._inbox.wait_for_unprepared(_AT_ONCE)
            for ref, job in jobs:
                with self._hooks:
                    # After the pass the main thread has taken what it needs, perhaps this one.
                    if self._inbox.beside != number:
                        break
                    self._keep(ref, [job])

    def _keep(self, ref: str, jobs: Sequence[WaitingJob]) -> None:
        runtime = self._models.get(ref)
        jobs = [job for job in jobs if not self._inbox.is_staged(job.slot)]
        if runtime is None:
            return self._inbox.keep([(job.slot, not_loaded(ref)) for job in jobs])
        began = time.perf_counter()
        with runtime.inference():
            staged = [(job.slot, self._stage(runtime, job)) for job in jobs]
        runtime.staging.took(len(jobs), time.perf_counter() - began)
        self._inbox.keep(staged)
        self._marks.clear(Stage.PREPARE)
        return None

    def _stage(self, runtime: Runtime, job: WaitingJob) -> Staged | ItemResult:
        self._marks.at(Stage.PREPARE, job.slot)
        return runtime.stage(job.input, job.state)
