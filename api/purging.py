"""All jobs that wait in a queue called off, once it was said how many they may be: nothing is deleted silently."""

from typing import NamedTuple

from api.calling_off import MOST, call_off, is_confirmed
from api.desk import JobDesk
from api.queues import Queues
from api.services import Services
from headrace.jobs import JobStatus
from headrace.queue_store import QueueStore

#: Entries of what is delayed that one script looks at, and that one request does.
_STRETCH, _MOST_DELAYED = 1000, 100_000

#: No queue has more jobs.
MOST_CONFIRMED = 10**9


class Purged(NamedTuple):
    """How many jobs waited, and what became of them; all but the first are 0 if nothing was to be done."""

    matched: int
    canceled: int
    #: A worker had begun them meanwhile.
    canceling: int
    #: They had ended, or were gone, before they could be called off.
    ended: int
    #: True if jobs still wait that one request does not call off.
    more: bool


class Purging:
    """Calls off what waits in queues, of all tenants.

    Args:
        services: the parts of the process.
        desk: cancels jobs, whose ever they are.
    """

    def __init__(self, services: Services, desk: JobDesk) -> None:
        self._run = services.mux.run
        self._store = QueueStore(services.store.keys)
        self._queues = Queues(services)
        self._desk = desk

    async def purge(self, queue: str, *, confirm: int | None, dry_run: bool) -> Purged:
        """Call off what waits; in a dry run, or if it was not said how many jobs it may be, only count it.

        Raises:
            QueueNotFound: if there is no such queue.
            Conflict: if it is more jobs than that; none was called off then.
        """
        await self._queues.require(queue)
        matched, members = await self._waiting(queue)
        if not is_confirmed(matched, confirm=confirm, dry_run=dry_run):
            return Purged(matched, 0, 0, 0, more=False)
        became = await call_off(self._desk, members)
        canceled, canceling = became[JobStatus.CANCELED], became[JobStatus.CANCELING]
        ended = len(members) - canceled - canceling
        return Purged(matched, canceled, canceling, ended, more=matched > len(members))

    async def _waiting(self, queue: str) -> tuple[int, list[str]]:
        """How many jobs wait, and the members of as many as one request calls off."""
        matched, place, members = 0, 0, list[str]()
        while place < _MOST_DELAYED:
            most = MOST - len(members)
            found = await self._run(self._store.waiting(queue, most=most, place=place, places=_STRETCH))
            matched += found.jobs
            members += found.members
            if not found.goes_on:
                break
            place += _STRETCH
        return matched, members
