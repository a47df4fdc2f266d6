"""Trial: one system played with one load, and what is counted of it."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from headrace.model_ref import ModelRef
from headrace.worker_class import WorkerClass
from scheduler.simulation.events.crew import Speed
from scheduler.simulation.events.machines import Machines
from scheduler.simulation.events.queues import Job
from scheduler.simulation.events.scheduling import Moment, Scheduling
from scheduler.simulation.events.site import Done, Site

#: What happens before is not counted: it begins without workers that the load would have.
WARM_S = 1800.0
#: Nor are jobs that come later than so long before the end, which could not show how they end.
_LAST_S = 1800.0

Speeds = Mapping[str, Mapping[ModelRef, Speed]]


class Trial(NamedTuple):
    """What came of it, from `WARM_S` on."""

    jobs: Sequence[Job]
    done: Sequence[Done]
    #: Hours of workers of each class, and what all of them cost.
    worker_hours: Mapping[str, float]
    cost: float
    moments: Sequence[Moment]

    def in_time(self, limit_s: float, of: Callable[[Job], bool] = lambda _: True) -> float:
        """Share of some jobs that waited no longer than so; what never began is late."""
        return sum(done.wait_s <= limit_s for done in self.done if of(done.job)) / max(1, sum(map(of, self.jobs)))

    def kept_deadline(self, of: Callable[[Job], bool] = lambda _: True) -> float:
        """Share of some jobs that ended by their deadlines."""
        kept = sum(done.ended_s <= done.job.deadline_s for done in self.done if of(done.job))
        return kept / max(1, sum(map(of, self.jobs)))


def play(
    jobs: Sequence[Job],
    *,
    classes: Mapping[str, WorkerClass],
    speeds: Speeds,
    hours: float,
    cold_start_s: float,
    seed: int,
    machines: Mapping[str, Machines] | None = None,
    stands_in: bool = True,
    leaves: bool = True,
) -> Trial:
    """Play it; see `Scheduling` for the arguments."""
    site = Site(classes=classes, speeds=speeds, seed=seed)
    site.submit(jobs)
    scheduling = Scheduling(
        site=site,
        classes=classes,
        cold_start_s=cold_start_s,
        machines=machines,
        stands_in=stands_in,
        leaves=leaves,
    )
    scheduling.run(0.0, WARM_S)
    before = {name: site.spent_s(name, WARM_S) for name in classes}
    scheduling.run(WARM_S, 3600 * hours)
    spent = {name: (site.spent_s(name, 3600 * hours) - before[name]) / 3600 for name in classes}
    counted = range(round(WARM_S), round(3600 * hours - _LAST_S))
    return Trial(
        jobs=[job for job in jobs if int(job.at_s) in counted],
        done=[done for done in site.done if int(done.job.at_s) in counted],
        worker_hours=spent,
        cost=sum(spent[name] * kind.price_per_hour for name, kind in classes.items()),
        moments=[moment for moment in scheduling.moments if moment.at_s >= WARM_S],
    )
