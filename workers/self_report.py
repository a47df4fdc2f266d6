"""SelfReport: what a worker says of itself to schedulers, operators and Celery's remote control."""

import os
import socket
import time

from headrace.presence import ModelPresence, WorkerPresence, WorkerState
from workers.children import Children
from workers.identity import WorkerIdentity
from workers.job_path import JobPath
from workers.offer import Offer
from workers.start_stages import start_stages


class SelfReport:
    """Made when the engine is.

    Args:
        identity: of the worker.
        path: where its jobs and models are.
        children: the processes of its models.
    """

    def __init__(self, *, identity: WorkerIdentity, path: JobPath, children: Children) -> None:
        self._identity = identity
        self._path = path
        self._children = children
        self._made_ms = _now_ms()
        #: When a model could run for the first time.
        self._ready_ms: int | None = None

    def look(self) -> None:
        """The set of versions that can run has changed."""
        if self._path.models.ready() and self._ready_ms is None:
            self._ready_ms = _now_ms()

    def presence(self, offer: Offer, *, left: tuple[str, ...], is_draining: bool, found_ms: int) -> WorkerPresence:
        """Who it is, how far it has come and what it does.

        Args:
            offer: what it claims jobs for.
            left: groups that it leaves to another class.
            is_draining: whether it claims no more.
            found_ms: since when there has been a model to load, if there was none at first.
        """
        path, identity, kind = self._path, self._identity, self._identity.worker_class
        return WorkerPresence(
            id=identity.id,
            worker_class=identity.class_name,
            node=identity.node,
            host=socket.gethostname(),
            pid=os.getpid(),
            child_pid=self._children.pid,
            device=kind.device,
            tiers=kind.tiers,
            memory_bytes=kind.memory_bytes,
            state=self._state(is_draining=is_draining),
            models=self._models(offer),
            paused=offer.paused(path.models.ready(), kind.tiers),
            left=left,
            started_ms=identity.started_ms,
            ready_ms=self._ready_ms,
            start_s=self._start_s(found_ms),
            groups=path.held.loads(),
            jobs_done=path.jobs_done,
            jobs_held=len(path.held),
            batches=path.batches,
            forward_ms=round(path.clock.longest_s * 1000, 3),
        )

    def _start_s(self, found_ms: int) -> dict[str, float]:
        moments = self._identity.started_ms, self._made_ms, self._path.child_ready_ms, self._ready_ms
        return start_stages(*moments, found_ms=found_ms)

    def _models(self, offer: Offer) -> dict[str, ModelPresence]:
        apart = self._children.separation
        return {
            ref: model.model_copy(update={"apart": True}) if ref in apart else model
            for ref, model in self._path.models.presence().items()
            if offer.serves(ref.partition("@")[0])
        }

    def _state(self, *, is_draining: bool) -> WorkerState:
        if is_draining:
            return WorkerState.DRAINING
        return WorkerState.READY if self._path.has_child else WorkerState.STARTING


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
