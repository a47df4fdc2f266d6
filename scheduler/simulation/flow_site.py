"""FlowSite: what `events.site` is, with a liquid in place of jobs: several worker classes, and a pool for each group.

The same scheduling decides over it, so that what the two find can be compared. In each step the workers of a class
share their time among their own groups by how much is in each, and what is left of it among those for spare time.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from headrace.homes import FREE, Manners
from headrace.worker_class import WorkerClass
from scheduler.observation import Due
from scheduler.simulation.arrivals import STEP_S, Array
from scheduler.simulation.fluid import LateMeter

#: In so many turns a step is divided, in each of which every class has one, so that none is always the first.
_TURNS = 10


@dataclass(frozen=True, kw_only=True)
class FlowWorker:
    """One worker."""

    started_s: float
    ready_s: float


class FlowQueues:
    """A pool for each group.

    Args:
        counts: jobs that come to each group in each step.
    """

    def __init__(self, counts: Mapping[str, Array]) -> None:
        self._counts = counts
        self.present = dict.fromkeys(counts, 0.0)
        self.arrived = dict.fromkeys(counts, 0)

    def arrive(self, step: int) -> dict[str, float]:
        """Take what comes in a step; answers how much."""
        came = {group: float(counts[step]) for group, counts in self._counts.items()}
        for group, jobs in came.items():
            self.present[group] += jobs
            self.arrived[group] += round(jobs)
        return came

    def waiting(self, group: str) -> int:
        """How many wait there."""
        return round(self.present[group])

    def oldest_age_s(self, group: str, now: float) -> float:  # noqa: ARG002 - a liquid has no age
        """Not known."""
        return 0.0

    def dues(self, group: str, now: float, *, within_s: float) -> tuple[Due, ...]:  # noqa: ARG002 - nor deadlines
        """None."""
        return ()


class FlowSite:
    """One simulated system.

    Args:
        classes: the worker classes.
        rates: of each class, jobs of each group that a worker does in a second, by groups that it serves.
        counts: jobs that come to each group in each step.
        objective_s: jobs that have waited longer are late.
        since_s: jobs that come earlier are not counted, nor what is done before.
    """

    def __init__(
        self,
        *,
        classes: Mapping[str, WorkerClass],
        rates: Mapping[str, Mapping[str, float]],
        counts: Mapping[str, Array],
        objective_s: float,
        since_s: float,
    ) -> None:
        self.queues = FlowQueues(counts)
        self._rates, self._since_s, self._step = rates, since_s, 0
        self.workers: dict[str, list[FlowWorker]] = {name: [] for name in classes}
        self._manners = dict.fromkeys(classes, FREE)
        self._spent_s = dict.fromkeys(classes, 0.0)
        self._late = {group: LateMeter(1, objective_s=objective_s) for group in counts}
        #: Jobs of each group that each class did, ever and since they count.
        self._ever: defaultdict[tuple[str, str], float] = defaultdict(float)
        self.done: defaultdict[tuple[str, str], float] = defaultdict(float)
        self._came = 0.0

    def run_until(self, now: float) -> None:
        """Let time go on."""
        while (self._step + 1) * STEP_S <= now:
            self._flow()
            self._step += 1

    def _flow(self) -> None:
        at_s, is_counted = self._step * STEP_S, self._step * STEP_S >= self._since_s
        before = dict(self.queues.present) if at_s == self._since_s else {}
        came, ended = self.queues.arrive(self._step), dict.fromkeys(self._late, 0.0)
        for _ in range(_TURNS):
            for name, workers in self.workers.items():
                ready = sum(worker.ready_s <= at_s for worker in workers)
                for group, jobs in self._serve(name, ready * STEP_S / _TURNS).items():
                    self._ever[group, name] += jobs
                    self.done[group, name] += jobs * is_counted
                    ended[group] += jobs
        if not is_counted:
            return
        for group, late in self._late.items():
            # What waits when counting begins is taken to come then.
            new = came[group] + before.get(group, 0.0)
            self._came += new
            late.add(np.array([new]), np.array([ended[group]]))

    def _serve(self, name: str, able_s: float) -> dict[str, float]:
        """Have a class work so long; answers how many jobs of each group it did."""
        did: dict[str, float] = {}
        for groups in self._manners[name].divide(tuple(self._rates[name])):
            wants_s = {group: self.queues.present[group] / self._rates[name][group] for group in groups}
            whole_s = sum(wants_s.values())
            share = min(1.0, able_s / whole_s) if whole_s else 0.0
            for group, want_s in wants_s.items():
                jobs = share * want_s * self._rates[name][group]
                did[group] = jobs
                self.queues.present[group] = max(0.0, self.queues.present[group] - jobs)
            able_s -= share * whole_s
        return did

    @property
    def in_time(self) -> float:
        """Share of the jobs that waited no longer than the objective."""
        return 1 - sum(float(late.finish()[0]) for late in self._late.values()) / max(1.0, self._came)

    # --- as `Site` -----------------------------------------------------------------------------------------

    def staying(self, kind: str) -> list[FlowWorker]:
        """Workers of a class, the oldest first."""
        return self.workers[kind]

    def machines(self, kind: str) -> int:
        """How many a class has."""
        return len(self.workers[kind])

    def start(self, kind: str, count: int, now: float, *, cold_start_s: float) -> None:
        """Have so many more, which can work after the cold start."""
        self.workers[kind] += [FlowWorker(started_s=now, ready_s=now + cold_start_s) for _ in range(count)]

    def drain(self, kind: str, count: int, now: float) -> None:
        """Let so many go, the newest first."""
        for _ in range(count):
            self._spent_s[kind] += now - self.workers[kind].pop().started_s

    def take_away(self, kind: str, count: int, now: float, *, notice_s: float) -> None:  # noqa: ARG002 - at once
        """Take so many machines."""
        self.drain(kind, count, now)

    def leave_to_others(self, manners: Mapping[str, Manners], now: float) -> None:  # noqa: ARG002 - from the next step on
        """Have the workers of each class leave so much to others."""
        self._manners = dict(manners)

    def held(self) -> dict[str, int]:
        """Nothing: a liquid is done or waits."""
        return {}

    def held_by(self, kind: str) -> Counter[str]:  # noqa: ARG002
        """Nothing."""
        return Counter()

    def job_s(self, kind: str) -> dict[str, float]:
        """Seconds of each version's job, of what the class has run."""
        return {
            group.rpartition(":")[0]: 1 / rate for group, rate in self._rates[kind].items() if self._ever[group, kind]
        }

    def spent_s(self, kind: str, now: float) -> float:
        """Time of a class's workers, from the moment they were asked for."""
        return self._spent_s[kind] + math.fsum(now - worker.started_s for worker in self.workers[kind])
