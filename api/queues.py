"""The queues of the whole system, one for each model version and tier: which there are, and which are paused."""

from api.services import Services
from headrace.errors import QueueNotFound
from headrace.groups import group_of, queue_of
from headrace.queue_store import Pause, QueueStore
from headrace.tiers import Tier


class Queues:
    """Pauses and resumes them.

    Args:
        services: the parts of the process.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._run = services.mux.run
        self._store = QueueStore(services.store.keys)

    async def pause(self, queue: str, *, reason: str) -> Pause:
        """Let no worker claim from a queue; one that is paused already stays so since then.

        Raises:
            QueueNotFound: if there is no such queue.
        """
        await self.require(queue)
        pause = await self._run(self._store.pause(queue, reason=reason))
        self._services.presences.forget()
        return pause

    async def resume(self, queue: str) -> None:
        """Let workers claim from a queue again; one that is not paused stays as it is.

        Raises:
            QueueNotFound: if there is no such queue.
        """
        await self.require(queue)
        await self._run(self._store.resume(queue))
        self._services.presences.forget()

    async def require(self, queue: str) -> None:
        """Return if there is such a queue.

        Raises:
            QueueNotFound: if there is none.
        """
        if queue in released_queues(self._services) or queue in await self._run(self._store.paused()):
            return
        groups = await self._run(self._services.store.groups())
        if queue not in set(map(queue_of, groups)):
            raise QueueNotFound(f"no queue is called '{queue[:200]}'; GET /v1/queues has their names")


def released_queues(services: Services) -> set[str]:
    """The queue of each released version in each tier."""
    refs = [served.ref for model in services.catalog.models() for served in model.versions.values()]
    return {group_of(ref, tier) for ref in refs for tier in Tier}
