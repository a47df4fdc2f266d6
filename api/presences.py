"""The workers as they describe themselves, read at most once a second however many requests ask."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

from headrace.cold_start import ColdStart, cold_start_of
from headrace.eta import Pace, serves
from headrace.groups import group_of
from headrace.jobs import Reason
from headrace.keys import Keys
from headrace.model_ref import ModelRef
from headrace.mux import Mux
from headrace.presence import GroupLoad, WorkerPresence, explain_wait, parse_presences
from headrace.queue_store import Pause, QueueStore
from headrace.redis_op import RedisOp, Reply
from headrace.scaling import ScalingReport, parse_report
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass

_FRESH_S = 1.0
#: While there is nobody, somebody may be on the way any moment.
_EMPTY_S = 0.2
#: A scheduler that has decided nothing for so long adds no workers.
_DECIDES_S = 30.0
#: Reasons that starting another worker could change.
_NOBODY_YET = (Reason.NO_COMPATIBLE_WORKER, Reason.WORKER_STARTING)
_NO_PAUSES: Mapping[str, Pause] = MappingProxyType({})

#: Answers which workers are on their way that will run a version, given those that live.
Coming: TypeAlias = Callable[[ModelRef, Tier, Sequence[WorkerPresence]], ColdStart | None]
#: Answers why no worker class can run jobs of a version and tier that have outgrown so many bytes of memory, given the
#: workers that live; empty if one can.
Nowhere: TypeAlias = Callable[[ModelRef, Tier, Sequence[WorkerPresence], int], str]


class Roster:
    """The workers at one moment, and the queues that they were told to leave alone.

    With `outgrown_bytes` the workers that have more memory.
    """

    def __init__(
        self,
        workers: Sequence[WorkerPresence] = (),
        *,
        nowhere: Nowhere = lambda *_: "",
        coming: Coming = lambda *_: None,
        paused: Mapping[str, Pause] = _NO_PAUSES,
        outgrown_bytes: int = 0,
    ) -> None:
        self.workers = tuple(workers)
        #: By queue.
        self.paused = paused
        self._nowhere = nowhere
        self._coming = coming
        self._outgrown_bytes = outgrown_bytes
        self._larger: dict[int, Roster] = {}
        self._waits: dict[tuple[ModelRef, Tier], tuple[Reason, str]] = {}
        self._paces: dict[tuple[ModelRef, Tier], Pace | None] = {}

    def beyond(self, outgrown_bytes: int) -> "Roster":
        """Those of the workers that jobs are for which have outgrown so many bytes of memory."""
        if not outgrown_bytes:
            return self
        if outgrown_bytes not in self._larger:
            larger = [worker for worker in self.workers if not 0 < worker.memory_bytes <= outgrown_bytes]
            self._larger[outgrown_bytes] = Roster(
                larger, nowhere=self._nowhere, paused=self.paused, outgrown_bytes=outgrown_bytes
            )
        return self._larger[outgrown_bytes]

    def pace(self, ref: ModelRef, tier: Tier) -> Pace | None:
        """How fast a version is served; None if nobody is ready, or has run a pass."""
        if (ref, tier) not in self._paces:
            self._paces[ref, tier] = Pace.of(self.workers, ref, tier)
        return self._paces[ref, tier]

    def explain(self, ref: ModelRef, tier: Tier) -> tuple[Reason, str]:
        """Why a queued job of this model and tier does not run yet."""
        if (ref, tier) not in self._waits:
            self._waits[ref, tier] = self._explain(ref, tier)
        return self._waits[ref, tier]

    def is_paused(self, ref: ModelRef, tier: Tier) -> bool:
        """Tell whether nobody claims from the queue of a model version and tier."""
        return group_of(ref, tier) in self.paused

    def _explain(self, ref: ModelRef, tier: Tier) -> tuple[Reason, str]:
        if (pause := self.paused.get(group_of(ref, tier))) is not None:
            return Reason.QUEUE_PAUSED, pause.explanation
        reason, detail = explain_wait(ref, tier, self.workers)
        if reason in _NOBODY_YET and (why := self._nowhere(ref, tier, self.workers, self._outgrown_bytes)):
            return Reason.NO_COMPATIBLE_WORKER, why
        if self._outgrown_bytes:
            detail = f"it has outgrown {self._outgrown_bytes / 1e6:,.0f} MB of memory{detail and f'; {detail}'}"
            return reason, detail
        cold = self.cold_start(ref, tier)
        if cold is None or self._is_refused(ref):
            return reason, detail
        return Reason.WORKER_STARTING if reason in _NOBODY_YET else reason, cold.explanation

    def cold_start(self, ref: ModelRef, tier: Tier) -> ColdStart | None:
        """Workers on their way that will run a version which nobody runs yet; None if there are none."""
        waits_for_it = explain_wait(ref, tier, self.workers)[0] in (*_NOBODY_YET, Reason.MODEL_LOADING)
        return self._coming(ref, tier, self.workers) if waits_for_it else None

    def _is_refused(self, ref: ModelRef) -> bool:
        return any(worker.models[str(ref)].error for worker in self.workers if str(ref) in worker.models)

    def load(self, group: str) -> GroupLoad:
        """What all workers together have of a group."""
        loads = [worker.groups[group] for worker in self.workers if group in worker.groups]
        return GroupLoad(held=sum(load.held for load in loads), running=sum(load.running for load in loads))

    def serving(self, ref: ModelRef, tier: Tier) -> int:
        """How many workers are ready to run jobs of this model and tier."""
        return sum(serves(worker, ref, tier) for worker in self.workers)


class Presences:
    """Reads the roster when it is older than a second, or empty; who asks meanwhile shares the reading."""

    def __init__(self, *, mux: Mux, keys: Keys, nowhere: Nowhere, classes: Mapping[str, WorkerClass]) -> None:
        self._mux = mux
        self._nowhere = nowhere
        self._classes = classes
        #: When a decision was read for the first time, by when it was made.
        self._decided = (0, float("-inf"))
        self._keys = keys
        self._queues = QueueStore(keys)
        self._roster = Roster()
        self._read_at = float("-inf")
        self._lock = asyncio.Lock()

    async def roster(self) -> Roster:
        """The workers now.

        Raises:
            RedisUnavailable: if they must be read and cannot be.
        """
        if self._is_fresh():
            return self._roster
        async with self._lock:
            if not self._is_fresh():
                workers, report, paused = await asyncio.gather(
                    self._read(), self._read_report(), self._mux.run(self._queues.paused())
                )
                self._roster = Roster(workers, nowhere=self._nowhere, coming=self._coming_by(report), paused=paused)
                self._read_at = time.monotonic()
        return self._roster

    def forget(self) -> None:
        """Something was changed here: whoever asks next is told of it."""
        self._read_at = float("-inf")

    def _is_fresh(self) -> bool:
        fresh_s = _FRESH_S if self._roster.workers else _EMPTY_S
        return time.monotonic() - self._read_at < fresh_s

    async def _read_report(self) -> ScalingReport | None:
        """The scheduler's last decision; None if it decides no more, or never did."""
        report = await self._mux.run(RedisOp(parse_report, ("GET", self._keys.scaling)))
        now = time.monotonic()
        if report is not None and report.at_ms != self._decided[0]:
            self._decided = (report.at_ms, now)
        return report if now - self._decided[1] < _DECIDES_S else None

    def _coming_by(self, report: ScalingReport | None) -> Coming:
        if report is None:
            return lambda *_: None
        now_ms, classes = time.time_ns() // 1_000_000, self._classes
        return lambda ref, tier, workers: cold_start_of(
            ref, tier, workers=workers, report=report, classes=classes, now_ms=now_ms
        )

    async def _read(self) -> list[WorkerPresence]:
        names = await self._mux.run(RedisOp(_names, ("ZRANGE", self._keys.workers, 0, -1)))
        if not names:
            return []
        keys = (self._keys.worker(name) for name in names)
        return await self._mux.run(RedisOp(parse_presences, ("MGET", *keys)))


def _names(reply: Reply) -> list[str]:
    return sorted(name.decode(errors="replace") for name in reply)
