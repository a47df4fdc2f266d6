"""DeadlineRisk: which jobs on machines that may be taken away are to be moved, so that they end in time. Pure.

A job that waits in the spot tier is at risk when, with k jobs before it,

    time to its deadline < k * each + C + 3 passes

    each   work that waits for the spot class, in seconds, over its ready workers (one, if there are none), per job
    C      the cold start of the class that would take it otherwise: it may have to start a worker first

It is left where it is when not even one pass can end in time: what is late already cannot be saved. The rule is that of
Can't Be Late (Wu et al., NSDI 2024): spot as long as there is time to do all of it on demand.
"""

from collections.abc import Mapping

from headrace.groups import group_of
from headrace.store_care import Hastening
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass
from scheduler.demand import Demand, demands
from scheduler.homes import Homes
from scheduler.observation import ClassLoad, Observation, QueueLoad

#: Passes within which a job has ended that nobody is before: the one under way, its own, and one for what means hide.
_PASSES = 3
#: Where jobs may go, the nearest first.
_REFUGES = (Tier.STANDARD, Tier.PRIORITY)


class DeadlineRisk:
    """Says for each queue whose jobs wait for spot machines when one of them is to be moved, and where.

    Args:
        classes: the worker classes; those with `is_spot` may lose their machines.
    """

    def __init__(self, *, classes: Mapping[str, WorkerClass]) -> None:
        self._classes = classes
        self._homes = Homes(classes=classes)
        self._has_spot = any(kind.is_spot for kind in classes.values())

    def hastenings(self, seen: Observation) -> tuple[Hastening, ...]:
        """What to move; empty if nothing waits that could be."""
        waiting = (
            [queue for queue in seen.queues if queue.tier is Tier.SPOT and queue.waiting] if self._has_spot else []
        )
        found = demands(seen, self._classes, self._homes) if waiting else {}
        return tuple(it for queue in waiting if (it := self._of(queue, found, seen)) is not None)

    def _of(self, queue: QueueLoad, found: Mapping[str, Demand], seen: Observation) -> Hastening | None:
        home = self._homes.of(queue, seen.classes)
        if home is None or not self._classes[home].is_spot:
            return None
        for tier in _REFUGES:
            if group_of(queue.ref, tier) in seen.paused:
                continue
            refuge = self._homes.of(queue._replace(tier=tier), seen.classes)
            if refuge is not None and not self._classes[refuge].is_spot and self._classes[refuge].max_workers:
                return _hastening(queue, tier, found[home], seen.classes[home], seen.classes[refuge])
        return None


def _hastening(queue: QueueLoad, tier: Tier, demand: Demand, spot: ClassLoad, refuge: ClassLoad) -> Hastening:
    pass_s = refuge.pass_of(queue.ref)
    return Hastening(
        group=group_of(queue.ref, queue.tier, queue.needs.outgrown_bytes),
        tier=tier,
        waiting=queue.waiting,
        each_ms=1000 * demand.backlog_s / queue.waiting / max(1, spot.ready),
        needs_ms=1000 * (refuge.cold_start_s + _PASSES * pass_s),
        least_ms=1000 * pass_s,
    )
