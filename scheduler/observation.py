"""What the scaling policy looks at: queues and worker classes at one moment. Work is in seconds of a worker's time."""

from collections.abc import Mapping
from typing import NamedTuple

from headrace.groups import group_of
from headrace.model_ref import ModelRef
from headrace.tiers import Tier
from headrace.worker_fit import NOTHING, Needs

#: Seconds a job is taken to need while nobody has measured one.
UNMEASURED_JOB_S = 0.02


class Due(NamedTuple):
    """Jobs, or seconds of work, and in how many seconds they have to be done."""

    amount: float
    in_s: float


class QueueLoad(NamedTuple):
    """One model version in one tier."""

    ref: ModelRef
    tier: Tier
    #: Jobs that are ready.
    waiting: int
    #: Jobs that workers have leased.
    held: int
    #: Jobs that arrive each second, smoothed.
    arrivals: float
    #: Jobs that arrived each second since the last look.
    arrived: float = 0.0
    needs: Needs = NOTHING
    #: Since the oldest job that waits was accepted.
    oldest_age_s: float = 0.0
    #: Jobs of those that wait which have deadlines soon.
    dues: tuple[Due, ...] = ()

    @property
    def group(self) -> str:
        """Its group."""
        return group_of(self.ref, self.tier, self.needs.outgrown_bytes)


class ClassLoad(NamedTuple):
    """The workers of one class."""

    ready: int = 0
    #: Alive, but without a model that can run yet.
    starting: int = 0
    draining: int = 0
    #: How many were asked for last; None if nobody asked.
    desired: int | None = None
    #: From the start of a process until it can run a model, as measured.
    cold_start_s: float = 5.0
    #: Seconds of work in one job of a model version, as measured on this class's workers.
    job_s: Mapping[str, float] = {}
    #: The stages of that cold start, in seconds.
    start_s: Mapping[str, float] = {}
    #: Seconds that a pass of a model version takes, as measured on this class's workers.
    pass_s: Mapping[str, float] = {}
    #: Model versions that its own workers have run, and those that none of them can load.
    ran: frozenset[str] = frozenset()
    unable: frozenset[str] = frozenset()
    #: Groups of which its workers hold jobs.
    holds: frozenset[str] = frozenset()

    @property
    def alive(self) -> int:
        """Workers that work or will."""
        return self.ready + self.starting

    @property
    def coming(self) -> int:
        """Workers that will be ready: those that start, and those that were asked for and have not spoken yet."""
        return max(self.starting, (self.desired or 0) - self.ready)

    def work_s(self, ref: ModelRef, jobs: float) -> float:
        """The work in so many jobs."""
        return jobs * self.job_s.get(str(ref), UNMEASURED_JOB_S)

    def pass_of(self, ref: ModelRef) -> float:
        """Seconds that a pass takes: a job's, where nobody has seen one."""
        return self.pass_s.get(str(ref), self.work_s(ref, 1))


class Observation(NamedTuple):
    """Everything at one moment."""

    queues: tuple[QueueLoad, ...]
    classes: Mapping[str, ClassLoad]
    #: Queues (`name@version:tier`) from which nobody claims, and the jobs that wait in them, which are not in `queues`.
    paused: Mapping[str, int] = {}
