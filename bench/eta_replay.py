"""One worker that replays a trace on a simulated clock: production estimator, batcher and claim policy.

Its passes sleep for the same time whatever is in them, and a little more. What callers could know is what they
could know in reality: the queue as it is, and the worker as it described itself up to two seconds ago.
"""

import heapq
import random
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from headrace.eta import Estimate, Forecaster, Pace
from headrace.model_ref import ModelRef
from headrace.presence import GroupLoad, ModelPresence, ModelState, WorkerPresence, WorkerState
from headrace.tiers import Tier
from workers.batcher import Batch, Batcher, Limits, WaitingJob
from workers.claim_policy import NOTHING, ClaimPlan, ClaimPolicy, RunningPass, Staged, Window
from workers.cost_model import CostModel

REF = ModelRef("sleep", 1)
_GROUP = f"{REF}:{Tier.STANDARD}"
_SPEAK_S = 1.0
#: A sleep never ends early, and mostly a little late.
_LATE_S = 0.0005


class Replayed(NamedTuple):
    """How the estimates of one replay did."""

    estimated: int
    before_p50: int
    before_p90: int
    #: Jobs to which no estimate was told: nothing was known yet, or it was known to be bad.
    untold: int
    busy_s: float


class Replay:
    """A worker, its queue, and the callers who ask when they hand in a job.

    Args:
        forward_s: length of a pass.
        max_batch: most jobs of a pass.
        seed: of the noise, and of when the worker speaks.
    """

    def __init__(self, *, forward_s: float, max_batch: int, seed: int) -> None:
        self._random = random.Random(seed)
        self._forward_s = forward_s
        self._max_batch = max_batch
        self._costs = CostModel()
        self._batcher = Batcher()
        self._limits = {str(REF): Limits(self._costs, max_batch=max_batch)}
        self._policy = ClaimPolicy(lead_s=0.003, most_bytes=1 << 30)
        self._forecaster = Forecaster()
        self._ready: deque[int] = deque()
        self._staged = 0
        self._running: RunningPass | None = None
        self._jobs: list[int] = []
        self._passes = self._served = 0
        self._busy_s = 0.0
        self._estimates: dict[int, tuple[float, bool, Estimate]] = {}
        self._said, self._read = self._presence(), self._presence()
        self._said_at = self._read_at = -self._random.random() * _SPEAK_S
        self._events: list[tuple[float, int, str, int]] = []
        self._plan, self._planned_at = NOTHING, 0.0
        self._before_p50 = self._before_p90 = self._untold = 0

    def run(self, arrivals: Sequence[float]) -> Replayed:
        """Serve jobs that arrive at these times, in order, seconds."""
        for number, at_s in enumerate(arrivals):
            self._push(at_s, "arrive", number)
        while self._events:
            now, _, what, number = heapq.heappop(self._events)
            self._speak(now)
            if what == "arrive":
                self._arrive(number, now)
            elif what == "end":
                self._end(now)
            elif number == self._planned_at:
                self._claim()
            self._go_on(now)
        estimated = len(arrivals) - self._untold
        return Replayed(estimated, self._before_p50, self._before_p90, self._untold, self._busy_s)

    def _push(self, at_s: float, what: str, number: float) -> None:
        heapq.heappush(self._events, (at_s, len(self._events), what, number))  # type: ignore[misc]

    # --- callers

    def _arrive(self, number: int, now: float) -> None:
        if now - self._read_at > _SPEAK_S:
            self._read, self._read_at = self._said, now
        pace = Pace.of([self._read], REF, Tier.STANDARD)
        is_told = pace is not None and not self._forecaster.is_bad
        self._untold += not is_told
        if pace is not None:
            self._estimates[number] = (now, is_told, self._forecaster.estimate(pace, len(self._ready)))
        self._ready.append(number)

    def _speak(self, now: float) -> None:
        """The worker describes itself once a second."""
        if now - self._said_at >= _SPEAK_S:
            self._said, self._said_at = self._presence(), now - (now - self._said_at) % _SPEAK_S

    def _presence(self) -> WorkerPresence:
        job_s = self._costs.t(self._max_batch) / self._max_batch if self._costs.known else None
        model = ModelPresence(
            state=ModelState.READY,
            passes=self._passes,
            runs=self._passes,
            jobs=self._served,
            busy_s=self._busy_s,
            job_s=job_s,
        )
        load = GroupLoad(held=self._staged + len(self._jobs), running=len(self._jobs))
        return WorkerPresence(
            id="w1",
            worker_class="bench",
            host="here",
            pid=1,
            device="cpu",
            tiers=(Tier.STANDARD,),
            state=WorkerState.READY,
            models={str(REF): model},
            started_ms=0,
            groups={_GROUP: load},
        )

    # --- the worker

    def _go_on(self, now: float) -> None:
        """Begin a pass if none runs, and plan the next claim."""
        for _ in range(2):
            if self._running is None and self._staged:
                self._begin(now)
            window = Window(self._max_batch, self._max_batch)
            plan = self._policy.plan(staged=Staged(self._staged, 0, 0), window=window, running=self._running, now=now)
            if plan.size.most and plan.wait_s == 0 and self._ready:
                self._plan = plan
                self._claim()
        if plan.size.most and plan.wait_s > 0:
            self._plan, self._planned_at = plan, now + plan.wait_s
            self._push(self._planned_at, "claim", self._planned_at)

    def _claim(self) -> None:
        plan: ClaimPlan = self._plan
        # An urgent claim finds nothing: all jobs are of one tier.
        most = 0 if plan.is_urgent else plan.size.least
        taken = [self._ready.popleft() for _ in range(min(most, len(self._ready)))]
        self._batcher.add(str(REF), [WaitingJob(number, b"") for number in taken])
        for number in taken:
            self._batcher.prepared(number, 1)
        self._staged += len(taken)
        self._policy.claimed(plan)

    def _begin(self, now: float) -> None:
        batch = self._batcher.next_batch(now, self._limits)
        assert isinstance(batch, Batch)
        self._jobs = [job.slot for job in batch.jobs]
        self._staged -= len(self._jobs)
        took_s = self._forward_s + self._random.expovariate(1 / _LATE_S)
        self._running = RunningPass(self._passes, now, now + self._forward_s)
        self._push(now + took_s, "end", 0)

    def _end(self, now: float) -> None:
        assert self._running is not None
        took_s = now - self._running.began
        self._costs.observe(len(self._jobs), len(self._jobs), took_s)
        self._busy_s += took_s
        self._passes += 1
        self._served += len(self._jobs)
        for number in self._jobs:
            self._told(number, now)
        self._jobs, self._running = [], None

    def _told(self, number: int, now: float) -> None:
        if number not in self._estimates:
            return
        asked_at, is_told, estimate = self._estimates.pop(number)
        self._before_p50 += is_told and now - asked_at <= estimate.finish_p50_s
        self._before_p90 += is_told and now - asked_at <= estimate.finish_p90_s
        self._forecaster.ended(estimate, now - asked_at)
