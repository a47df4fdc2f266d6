"""Queues: ready jobs in the order of service that `claim.lua` keeps, of one tenant."""

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from headrace.groups import group_of
from headrace.model_ref import ModelRef
from headrace.tiers import PRIORITY_LANE, Tier, score_of
from scheduler.observation import Due

NEVER_S = float("inf")


class Job(NamedTuple):
    """One job; times are seconds from the beginning."""

    number: int
    at_s: float
    ref: ModelRef
    tier: Tier = Tier.STANDARD
    deadline_s: float = NEVER_S

    @property
    def score(self) -> float:
        """Where it stands, the lowest first."""
        deadline_ms = 0 if self.deadline_s == NEVER_S else round(1000 * self.deadline_s)
        return score_of(self.tier, arrival_ms=1000 * self.at_s, deadline_ms=deadline_ms)


class Queues:
    """One for each model version and tier."""

    def __init__(self) -> None:
        self._ready: dict[str, list[tuple[float, int, Job]]] = {}
        #: Jobs that ever came to each group.
        self.arrived: dict[str, int] = {}

    def arrive(self, job: Job) -> str:
        """Take a new job; answers its group."""
        group = group_of(job.ref, job.tier)
        self.arrived[group] = self.arrived.get(group, 0) + 1
        heappush(self._ready.setdefault(group, []), (job.score, job.number, job))
        return group

    def give_back(self, job: Job) -> None:
        """Put a job back at its original place."""
        heappush(self._ready[group_of(job.ref, job.tier)], (job.score, job.number, job))

    def waiting(self, group: str) -> int:
        """How many wait there."""
        return len(self._ready.get(group, ()))

    def oldest_age_s(self, group: str, now: float) -> float:
        """Since the first in line came; 0 if nobody waits."""
        ready = self._ready.get(group)
        return now - ready[0][2].at_s if ready else 0.0

    def dues(self, group: str, now: float, *, within_s: float) -> tuple[Due, ...]:
        """Jobs that wait there and are due soon."""
        deadlines = (job.deadline_s for _, _, job in self._ready.get(group, ()))
        return tuple(Due(1.0, at - now) for at in deadlines if now < at <= now + within_s)

    def claim(self, groups: Sequence[str], most: int) -> list[Job]:
        """Take jobs: first as many urgent ones as have a lane of their own, then all merged by score."""
        queues = [ready for group in groups if (ready := self._ready.get(group))]
        urgent = [ready for ready in queues if ready[0][2].tier is Tier.PRIORITY]
        taken: list[Job] = []
        for some, limit in ((urgent, most // PRIORITY_LANE), (queues, most)):
            while len(taken) < limit and any(some):
                _, _, job = heappop(min((ready for ready in some if ready), key=lambda ready: ready[0]))
                taken.append(job)
        return taken
