"""CeleryView: keeps Celery's picture of this worker's jobs: its request tables, its counters, its events."""

from collections.abc import Collection, Sequence
from typing import Any

from celery.worker import state

from workers.held_jobs import HeldJob
from workers.job_events import JobEvents
from workers.requests import JobRequest


class CeleryView:
    """A `JobView` for one Celery consumer after another.

    Args:
        consumer: of the moment; `follow` gives the next one after a reconnect.
    """

    def __init__(self, *, consumer: Any) -> None:
        self._consumer = consumer
        self._events: JobEvents | None = None
        #: What Celery's tables say of us, by slot.
        self._shown: dict[int, JobRequest] = {}

    def follow(self, consumer: Any, events: JobEvents) -> None:
        """Celery has made a new connection."""
        self._consumer = consumer
        self._events = events

    def show(self, jobs: Collection[HeldJob]) -> None:
        """These are all that the worker holds: reserved for Celery, and active while they are in a forward pass.

        Called when somebody is about to look, and now and then. To change the tables with each job would take a tenth
        of all that is done for one here, and hardly anybody looks.
        """
        former, known = list(self._shown.values()), self._shown.get
        self._shown = {held.slot: known(held.slot) or JobRequest(held, self._consumer) for held in jobs}
        for request in former:
            state.requests.pop(request.id, None)
        state.reserved_requests.difference_update(former)
        state.active_requests.difference_update(former)
        state.requests.update({request.id: request for request in self._shown.values()})
        state.reserved_requests.update(self._shown.values())
        state.active_requests.update([self._shown[held.slot] for held in jobs if held.running])

    def received(self, jobs: Sequence[HeldJob]) -> None:
        """Jobs were claimed."""
        if self._events:
            self._events.received(jobs)

    def started(self, jobs: Sequence[HeldJob]) -> None:
        """Jobs entered a forward pass."""
        self.ran(jobs)

    def ran(self, jobs: Sequence[HeldJob]) -> None:
        """Jobs were in a forward pass, which may be over by now."""
        if jobs:
            state.total_count[jobs[0].ref] += len(jobs)
            state.all_total_count[0] += len(jobs)
        if self._events:
            self._events.started(jobs)

    def ended(self, jobs: Sequence[HeldJob], errors: Sequence[str | None], took_s: float) -> None:
        """Jobs ended."""
        if self._events:
            self._events.ended(jobs, errors, took_s)

    def canceled(self, jobs: Sequence[HeldJob]) -> None:
        """Jobs were canceled before their pass: revoked, for Celery."""
        if self._events:
            self._events.revoked(jobs)
