"""The scaling policy on a simulated clock: the production policy and meters, and workers that only have durations.

Passes take their time and no more, starts take what was measured, a decision is carried out at once. What the real
system adds to that (processes, Redis, HTTP, one look after another) is what the comparison is about.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from headrace.groups import group_of
from headrace.model_ref import ModelRef
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass
from scheduler.forecaster import level_tau_s
from scheduler.meters import RateMeter
from scheduler.observation import ClassLoad, Observation, QueueLoad
from scheduler.policy import ScalingPolicy

STEP_S = 0.05
_TICK_STEPS = 10
_REF = ModelRef("sleep", 1)
_GROUP = group_of(_REF, Tier.STANDARD)
_CLASS = "bench"


class Life:
    """Of one worker, in seconds from the beginning."""

    def __init__(self, started_s: float, ready_s: float) -> None:
        self.started_s = started_s
        self.ready_s = ready_s
        self.ended_s = float("inf")
        self.busy_until_s = 0.0
        self.jobs = 0
        self.is_draining = False


@dataclass(kw_only=True)
class Replay:
    """One worker class.

    Attributes:
        kind: its settings.
        forward_s: length of a pass.
        max_batch: most jobs of one.
        cold_start_s: from the start of a worker until it runs jobs.
    """

    kind: WorkerClass
    forward_s: float
    max_batch: int
    cold_start_s: float
    lives: list[Life] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._policy = ScalingPolicy(classes={_CLASS: self.kind})
        self._rates = RateMeter()
        self._queue: deque[float] = deque()
        self._arrived = 0
        self._desired: int | None = None
        self._has_run = False

    def run(self, arrivals: Sequence[float], *, until_s: float) -> list[Life]:
        """Play it; answers every worker that there was."""
        coming = deque(sorted(arrivals))
        for step in range(int(until_s / STEP_S)):
            now = step * STEP_S
            while coming and coming[0] <= now:
                self._queue.append(coming.popleft())
                self._arrived += 1
            self._work(now)
            if step % _TICK_STEPS == 0:
                self._scale(now)
        return self.lives

    def _work(self, now: float) -> None:
        for life in self._alive(now):
            if life.busy_until_s > now or life.ready_s > now:
                continue
            life.jobs = 0
            if life.is_draining:
                life.ended_s = now
            elif self._queue:
                life.jobs = min(self.max_batch, len(self._queue))
                for _ in range(life.jobs):
                    self._queue.popleft()
                life.busy_until_s, self._has_run = now + self.forward_s, True

    def _scale(self, now: float) -> None:
        staying = [life for life in self._alive(now) if not life.is_draining]
        count = self._policy.decide(self._observation(now, staying), now).counts[_CLASS]
        self._desired = count
        # As the owner does: the idle first, of these the newest.
        staying.sort(key=lambda life: (life.jobs == 0, life.started_s))
        for life in staying[count:]:
            life.is_draining = True
        self.lives += [Life(now, now + self.cold_start_s) for _ in range(count - len(staying))]

    def _observation(self, now: float, staying: Sequence[Life]) -> Observation:
        known_s = self.cold_start_s if self._has_run else ClassLoad().cold_start_s
        tau_s = level_tau_s(known_s, self.kind.wait_objective_s, self.kind.scale_down_window_s)
        rates = self._rates.update({_GROUP: self._arrived} if self._arrived else {}, now, tau_s=tau_s)
        held = sum(life.jobs for life in self._alive(now))
        ready = sum(life.ready_s <= now for life in staying)
        load = ClassLoad(
            ready=ready,
            starting=len(staying) - ready,
            desired=self._desired,
            cold_start_s=known_s,
            job_s={str(_REF): self.forward_s / self.max_batch} if self._has_run else {},
        )
        queue = QueueLoad(
            _REF, Tier.STANDARD, len(self._queue), held, rates.get(_GROUP, 0.0), self._rates.growth.get(_GROUP, 0.0)
        )
        return Observation((queue,) if self._arrived else (), {_CLASS: load})

    def _alive(self, now: float) -> list[Life]:
        return [life for life in self.lives if life.ended_s > now]
