"""Tryouts: whether a class without workers should start one, to see what a model version costs there. Pure.

Where another class does at least a worker's work of a version all the time, to know is worth the price of a start. One
worker is started, takes what `back_fill` leaves open for whoever never ran a version, and goes when the scale-down
window has passed. What it has not run by the end of its time, it will not: it is not tried again.
"""

from collections.abc import Mapping

from headrace.worker_class import WorkerClass
from scheduler.homes import Homes
from scheduler.observation import ClassLoad, Observation, QueueLoad

#: Work of a version that must arrive each second, in workers of its home.
_LEAST = 1.0
#: How long a tryout may take: so many cold starts, and no less than so long.
_STARTS, _LEAST_S = 4.0, 600.0


class Tryouts:
    """Remembers what was tried.

    Args:
        classes: the worker classes.
        homes: say whose work it is.
    """

    def __init__(self, *, classes: Mapping[str, WorkerClass], homes: Homes) -> None:
        self._classes = classes
        self._homes = homes
        #: Since when each class tries each version.
        self._since: dict[tuple[str, str], float] = {}

    def due(self, seen: Observation, now: float) -> dict[str, str]:
        """Which classes should have a worker for that, and the version that it is for; `now` is monotonic seconds."""
        found: dict[str, str] = {}
        for queue in seen.queues:
            home = self._homes.of(queue, seen.classes)
            if home is None or seen.classes[home].work_s(queue.ref, queue.arrivals) < _LEAST:
                continue
            for name in self._homes.dearer(queue, seen.classes):
                if self._is_due(name, queue, seen.classes[name], now):
                    found.setdefault(name, str(queue.ref))
        return found

    def _is_due(self, name: str, queue: QueueLoad, load: ClassLoad, now: float) -> bool:
        ref, kind = str(queue.ref), self._classes[name]
        if ref in load.ran or not kind.max_workers or not kind.price_per_hour:
            return False
        # Whoever has workers tries it with those.
        since = self._since.get((name, ref), None if load.alive else now)
        if since is None:
            return False
        self._since[name, ref] = since
        return now - since <= max(_LEAST_S, _STARTS * load.cold_start_s)
