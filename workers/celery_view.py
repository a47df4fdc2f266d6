"""CeleryView: keeps Celery's picture of this worker's jobs: its request tables, its counters, its events."""

from collections.abc import Sequence
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

    def follow(self, consumer: Any, events: JobEvents) -> None:
        """Celery has made a new connection."""
        self._consumer = consumer
        self._events = events

    def received(self, jobs: Sequence[HeldJob]) -> None:
        """Jobs were claimed: reserved, for Celery."""
        # What `state.task_reserved` and `task_ready` do one by one, which costs more than everything else here.
        for held in jobs:
            held.request = request = JobRequest(held, self._consumer)
            state.requests[request.id] = request
        state.reserved_requests.update([held.request for held in jobs])
        if self._events:
            self._events.received(jobs)

    def started(self, jobs: Sequence[HeldJob]) -> None:
        """Jobs entered a forward pass: active, for Celery."""
        state.active_requests.update([held.request for held in jobs])
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
        self._forget(jobs)
        if self._events:
            self._events.ended(jobs, errors, took_s)

    def dropped(self, jobs: Sequence[HeldJob]) -> None:
        """Jobs were given back."""
        self._forget(jobs)

    def canceled(self, jobs: Sequence[HeldJob]) -> None:
        """Jobs were canceled before their pass: revoked, for Celery."""
        self._forget(jobs)
        if self._events:
            self._events.revoked(jobs)

    def _forget(self, jobs: Sequence[HeldJob]) -> None:
        requests = [held.request for held in jobs]
        for request in requests:
            request.acknowledged = True
            state.requests.pop(request.id, None)
        state.active_requests.difference_update(requests)
        state.reserved_requests.difference_update(requests)
