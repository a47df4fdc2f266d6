"""Reconciler: makes a back end run as many workers as are wanted, and no crash loop runs hot."""

import logging
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from scheduler.backends.port import Backend, BackendError, BackendState, BackendWorker
from scheduler.restart import RestartPolicy

log = logging.getLogger("headrace.workers")


class Slot(NamedTuple):
    """A place for one worker of a class."""

    worker_class: str
    number: int


class Plan(NamedTuple):
    """What has to be done to have what is wanted."""

    start: list[Slot]
    drain: list[str]


class Seen(NamedTuple):
    """What workers say of themselves, by their node names."""

    #: Have jobs.
    busy: Collection[str] = ()
    #: Take no more jobs and will end, whoever asked them to.
    leaving: Collection[str] = ()


_NOTHING = Seen()


def plan(wanted: Mapping[str, int], workers: Sequence[BackendWorker], seen: Seen = _NOTHING) -> Plan:
    """Compare what is wanted with what runs: fill the lowest free slots, drain the idle before the busy, newest first.

    A worker that is draining or leaves by itself counts no more, but keeps its slot until it has ended.
    """
    start: list[Slot] = []
    drain: list[str] = []
    by_class: dict[str, list[BackendWorker]] = defaultdict(list)
    for worker in workers:
        if worker.state is not BackendState.ENDED:
            by_class[worker.worker_class].append(worker)
    for name in sorted(wanted.keys() | by_class.keys()):
        count, present = wanted.get(name, 0), by_class[name]
        running = [w for w in present if w.state is BackendState.RUNNING and w.id not in seen.leaving]
        running.sort(key=lambda worker: (worker.id not in seen.busy, worker.number))
        drain += [worker.id for worker in running[count:]]
        taken = {worker.slot for worker in present}
        free = (n for n in range(1, count + len(taken) + 1) if n not in taken)
        start += [Slot(name, next(free)) for _ in range(count - len(running))]
    return Plan(start, drain)


class Reconciler:
    """Carries out what is wanted, step by step.

    Args:
        backend: where the workers run.
        drain_limit_s: how long a worker may take to finish what it has before it is killed.
    """

    def __init__(self, *, backend: Backend, drain_limit_s: float) -> None:
        self._backend = backend
        self._drain_limit_s = drain_limit_s
        self._policies: dict[Slot, RestartPolicy] = defaultdict(RestartPolicy)
        #: When each draining worker was asked to end, or was first seen to leave.
        self._drained_at: dict[str, float] = {}
        self._left: set[str] = set()

    def step(self, wanted: Mapping[str, int], now: float, seen: Seen = _NOTHING) -> None:
        """Look at what runs, note what ended, start and drain what is to be.

        Raises:
            BackendError: if the place has failed, or workers of a class could not be started; the others were.
        """
        workers = self._backend.workers()
        self._note_leaving({worker.id for worker in workers} & set(seen.leaving), now)
        for worker in workers:
            if worker.state is BackendState.ENDED:
                self._note_end(worker, now)
            elif worker.state is BackendState.RUNNING and worker.id in seen.busy and worker.id not in seen.leaving:
                self._note_work(worker.id)
        todo = plan(wanted, workers, seen)
        for worker_id in todo.drain:
            log.info("%s is drained: fewer workers are wanted", worker_id)
            self._drain(worker_id, now)
        self._kill_overdue(now)
        self._start_due(todo.start, now)

    def drain_all(self, now: float) -> None:
        """Ask every worker to finish what it has and end."""
        for worker in self._backend.workers():
            self._drain(worker.id, now)

    def kill_all(self) -> None:
        """End every worker at once."""
        for worker in self._backend.workers():
            self._backend.kill(worker.id)

    def is_empty(self) -> bool:
        """Tell whether every worker has ended."""
        return all(worker.state is BackendState.ENDED for worker in self._backend.workers())

    def _start_due(self, slots: Sequence[Slot], now: float) -> None:
        failed: dict[str, BackendError] = {}
        for slot in slots:
            if slot.worker_class in failed or not self._policies[slot].is_due(now):
                continue
            self._policies[slot].started(now)
            try:
                worker = self._backend.start(*slot)
            except BackendError as error:
                # What one class lacks (an image, a GPU) is no reason to keep the others waiting.
                failed[slot.worker_class] = error
            else:
                log.info("%s starts", worker.id)
        if failed:
            raise BackendError("; ".join(f"{name}: {error}" for name, error in failed.items()))

    def _drain(self, worker_id: str, now: float) -> None:
        self._drained_at.setdefault(worker_id, now)
        self._backend.drain(worker_id)

    def _kill_overdue(self, now: float) -> None:
        for worker_id, since in self._drained_at.items():
            if now - since > self._drain_limit_s:
                log.warning("%s has not finished in %g s: it is killed", worker_id, now - since)
                self._backend.kill(worker_id)

    def _note_leaving(self, workers: set[str], now: float) -> None:
        for worker_id in workers - self._drained_at.keys():
            log.info("%s leaves by itself: another takes its place", worker_id)
            self._drained_at[worker_id] = now
            self._left.add(worker_id)

    def _note_work(self, worker_id: str) -> None:
        """It works on: its container began again, or its place took another one than was asked for."""
        self._drained_at.pop(worker_id, None)
        self._left.discard(worker_id)

    def _note_end(self, worker: BackendWorker, now: float) -> None:
        was_drained, has_left = self._drained_at.pop(worker.id, None) is not None, worker.id in self._left
        self._left.discard(worker.id)
        if was_drained:
            log.info("%s has finished (%s)", worker.id, worker.ending)
        if was_drained and not has_left:
            return
        policy = self._policies[Slot(worker.worker_class, worker.slot)]
        # Also for one that left by itself: so does the next one, if this machine is taken away.
        delay_s = policy.ended(now)
        if has_left:
            return
        log.warning("%s %s; next start in %g s", worker.id, worker.ending, delay_s)
        if policy.is_looping:
            log.error(
                "worker %d of class %s has ended %d times in a row; its last lines:%s",
                *(worker.slot, worker.worker_class, policy.early_ends),
                "".join(f"\n    {line}" for line in worker.last_lines),
            )
