"""Admission: how long a job that is handed in now would wait, and whether that is too long. Pure.

    wait = (work ahead - what ready workers do until more are ready) / work that all of them then do in a second

Work is in seconds of a worker's time. Ahead is what waits or is held in the job's tier and in more urgent ones, each
queue by the share of its workers that serve this job too; what more urgent tiers keep bringing is work that is not done
for this job. So the least urgent tier meets its limit first and is shed first, and priority jobs never wait for it.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from headrace.groups import group_of
from headrace.model_ref import ModelRef
from headrace.presence import ModelState, WorkerPresence, WorkerState
from headrace.tiers import Tier

#: What is promised is a little more than what is expected, since half of all jobs wait longer than that.
MARGIN = 1.15
#: Seconds of work in a job that nobody has measured.
_UNMEASURED_JOB_S = 0.02
#: Rates are smoothed over about this time.
_TAU_S = 5.0
#: However much comes in more urgent tiers, some time is left for a job; and workers are never thought slower than this.
_LEAST_SPARE, _LEAST_SPEED = 0.05, 0.25

_RANK = {tier: rank for rank, tier in enumerate(Tier)}


class Sight(NamedTuple):
    """One queue at one moment."""

    ref: ModelRef
    tier: Tier
    waiting: int
    #: Jobs that came and jobs that ended, ever.
    arrived: int
    ended: int

    @property
    def group(self) -> str:
        """Its group."""
        return group_of(self.ref, self.tier)


class Coming(NamedTuple):
    """Workers that the scheduler wants and that are not ready yet."""

    tiers: tuple[Tier, ...]
    #: Patterns of names.
    models: tuple[str, ...]
    workers: int
    #: Seconds until they are.
    cold_start_s: float

    def will_serve(self, ref: ModelRef, tier: Tier) -> bool:
        """Tell whether they will take jobs of this version and tier."""
        return tier in self.tiers and any(fnmatchcase(ref.name, pattern) for pattern in self.models)


class _Pace(NamedTuple):
    """What was seen of one queue at the look before, and how fast jobs come there."""

    arrived: int = 0
    ended: int = 0
    per_s: float = 0.0
    #: How long it has been looked at.
    seconds: float = 0.0


class Admission:
    """Looks now and then, and answers for each job; counts what it let in since the last look."""

    def __init__(self) -> None:
        self._sights: tuple[Sight, ...] = ()
        self._workers: tuple[WorkerPresence, ...] = ()
        self._coming: tuple[Coming, ...] = ()
        self._let_in: dict[str, int] = {}
        self._paces: dict[str, _Pace] = {}
        self._looked_at: float | None = None
        #: Seconds of work that a busy worker does in a second: below 1 where passes are not all that takes time.
        self.speed = 1.0
        self._was_busy = False

    def look(
        self, sights: Sequence[Sight], workers: Sequence[WorkerPresence], coming: Sequence[Coming], now: float
    ) -> None:
        """Take in how things are, at `now` in monotonic seconds."""
        past_s = now - self._looked_at if self._looked_at is not None else 0.0
        self._sights, self._coming = tuple(sights), tuple(coming)
        self._workers = tuple(worker for worker in workers if worker.state is not WorkerState.DRAINING)
        self._let_in, self._looked_at = {}, now
        if past_s > 0:
            self._measure_speed(past_s)
        self._paces = {sight.group: self._pace(sight, past_s) for sight in sights}

    def wait_s(self, ref: ModelRef, tier: Tier) -> float | None:
        """How long a job is expected to wait until its pass begins; None if nobody serves it, nor will."""
        mine = self._servers(ref, tier)
        coming = [some for some in self._coming if some.will_serve(ref, tier)]
        if not mine and not coming:
            return None
        ahead_s = urgent = 0.0
        for sight in self._sights:
            if _RANK[sight.tier] > _RANK[tier]:
                continue
            job_s = self._job_s(sight.ref) * self._share(sight, mine)
            ahead_s += job_s * (sight.waiting + self._held(sight.group) + self._let_in.get(sight.group, 0))
            if sight.tier is not tier:
                urgent += job_s * self._paces[sight.group].per_s
        return _time_for(ahead_s, urgent, len(mine) * self.speed, coming)

    def promised_s(self, ref: ModelRef, tier: Tier) -> float | None:
        """How long a job waits at most, as far as one can tell; None if nobody serves it, nor will."""
        wait_s = self.wait_s(ref, tier)
        return None if wait_s is None else MARGIN * wait_s + self.pass_s(ref, tier)

    def pass_s(self, ref: ModelRef, tier: Tier) -> float:
        """How long a pass takes, which one that has begun makes a job wait for."""
        return max((worker.forward_ms / 1000 for worker in self._servers(ref, tier)), default=0.0)

    def let_in(self, ref: ModelRef, tier: Tier) -> None:
        """A job was accepted."""
        group = group_of(ref, tier)
        if group not in self._paces:
            self._sights += (Sight(ref, tier, 0, 0, 0),)
            self._paces[group] = _Pace()
        self._let_in[group] = self._let_in.get(group, 0) + 1

    def _servers(self, ref: ModelRef, tier: Tier) -> list[WorkerPresence]:
        return [worker for worker in self._workers if _serves(worker, ref, tier)]

    def _share(self, sight: Sight, mine: Sequence[WorkerPresence]) -> float:
        """How much of a queue's work falls to these workers; all of it, if nobody does it yet."""
        theirs = self._servers(sight.ref, sight.tier)
        return sum(worker in mine for worker in theirs) / len(theirs) if theirs else 1.0

    def _job_s(self, ref: ModelRef) -> float:
        having = [worker for worker in self._workers if str(ref) in worker.models]
        # Classes are fast and slow: those that leave it to others are not asked how long it takes.
        doing = [worker for worker in having if not any(group.startswith(f"{ref}:") for group in worker.left)]
        models = (worker.models[str(ref)] for worker in doing or having)
        known = [model.job_s for model in models if model.job_s is not None]
        return sum(known) / len(known) if known else _UNMEASURED_JOB_S

    def _held(self, group: str) -> float:
        """Jobs that workers have; of those in a pass half is done, on average."""
        loads = [worker.groups[group] for worker in self._workers if group in worker.groups]
        return sum(load.held - load.running / 2 for load in loads)

    def _measure_speed(self, past_s: float) -> None:
        """Only while everybody has work: who has none is not slow."""
        ready = [worker for worker in self._workers if worker.state is WorkerState.READY]
        is_busy = bool(ready) and all(worker.jobs_held for worker in ready)
        if is_busy and self._was_busy:
            done_s = sum(
                self._job_s(sight.ref) * max(0, sight.ended - self._paces[sight.group].ended)
                for sight in self._sights
                if sight.group in self._paces
            )
            seen = min(1.0, max(_LEAST_SPEED, done_s / (past_s * len(ready))))
            self.speed += (seen - self.speed) * min(1.0, past_s / _TAU_S)
        self._was_busy = is_busy

    def _pace(self, sight: Sight, past_s: float) -> _Pace:
        if past_s <= 0:
            return _Pace(sight.arrived, sight.ended)
        # A queue that the look before did not find was empty then.
        before = self._paces.get(sight.group, _Pace())
        seconds = before.seconds + past_s
        seen = max(0, sight.arrived - before.arrived) / past_s
        # The first looks count fully: an overload is to be noticed at once.
        per_s = before.per_s + (seen - before.per_s) * min(1.0, past_s / min(seconds, _TAU_S))
        return _Pace(sight.arrived, sight.ended, per_s, seconds)


def _time_for(ahead_s: float, urgent: float, ready: float, coming: Sequence[Coming]) -> float:
    """Until so much work is done, by those who are ready and those who will be."""
    spare = max(ready - urgent, _LEAST_SPARE * ready)
    if not coming:
        return ahead_s / spare
    cold_s = max(some.cold_start_s for some in coming)
    if spare and ahead_s <= spare * cold_s:
        return ahead_s / spare
    all_of_them = ready + sum(some.workers for some in coming)
    later = max(all_of_them - urgent, _LEAST_SPARE * all_of_them)
    return cold_s + (ahead_s - spare * cold_s) / later


def _serves(worker: WorkerPresence, ref: ModelRef, tier: Tier) -> bool:
    model = worker.models.get(str(ref))
    is_ready = model is not None and model.state is ModelState.READY
    return is_ready and tier in worker.tiers and group_of(ref, tier) not in worker.left
