"""Homes: which class is scaled for the work of a queue, and what it costs there. Pure; they remember what they said."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from headrace import worker_fit
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass
from headrace.worker_fit import NOTHING, Needs
from scheduler.observation import ClassLoad, QueueLoad

#: By what part another class must be cheaper to take work over: what work costs is measured, and measurements vary.
MUST_SAVE = 0.1


class Source(NamedTuple):
    """Where work comes from, as far as it decides who may do it."""

    model: str
    tier: Tier
    needs: Needs = NOTHING

    @classmethod
    def of(cls, queue: QueueLoad) -> "Source":
        """The source of a queue's work."""
        return cls(queue.ref.name, queue.tier, queue.needs)


def serves(kind: WorkerClass, source: Source) -> bool:
    """Tell whether workers of a class take jobs from a source."""
    return worker_fit.serves(kind, source.model, source.tier, source.needs)


class Homes:
    """Where the tier of the work stands nearest to the front; of equals the class that does it for the least money.

    What a class takes for a job is the price of an hour times the time of the job there. A class that has not run a
    version yet counts as quick as those that have (see `JobTimes.of_class`), so that the price of an hour decides; one
    that cannot load it is home to it only if no other class is.

    Args:
        classes: the worker classes.
    """

    def __init__(self, *, classes: Mapping[str, WorkerClass]) -> None:
        self._classes = classes
        self._said: dict[str, str] = {}

    def forget(self) -> None:
        """Somebody else decided meanwhile."""
        self._said = {}

    def of(self, queue: QueueLoad, loads: Mapping[str, ClassLoad]) -> str | None:
        """The class for a queue, given what is known of the classes; None if none serves it."""
        prices = self.prices(queue, loads)
        if not prices:
            return None
        best = min(prices, key=lambda name: (prices[name], self._classes[name].price_per_hour))
        group = queue.group
        before = self._said.get(group)
        if before in prices and prices[best] >= (1 - MUST_SAVE) * prices[before]:
            return before
        self._said[group] = best
        return best

    def dearer(self, queue: QueueLoad, loads: Mapping[str, ClassLoad]) -> Iterator[str]:
        """The classes that could be home to a queue as well, but take clearly more for a job than the one that is."""
        home, prices = self.of(queue, loads), self.prices(queue, loads)
        for name, price in prices.items():
            if home is not None and prices[home] < (1 - MUST_SAVE) * price:
                yield name

    def prices(self, queue: QueueLoad, loads: Mapping[str, ClassLoad]) -> dict[str, float]:
        """What a job costs in each class that could be home to it."""
        classes = {name: kind for name, kind in self._classes.items() if serves(kind, Source.of(queue))}
        able = {name: kind for name, kind in classes.items() if str(queue.ref) not in loads[name].unable} or classes
        nearest = min((kind.tiers.index(queue.tier) for kind in able.values()), default=0)
        return {
            name: kind.price_per_hour / 3600 * loads[name].work_s(queue.ref, 1)
            for name, kind in able.items()
            if kind.tiers.index(queue.tier) == nearest
        }
