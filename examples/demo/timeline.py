"""The burst as one sees it from outside: what waits in each tier and what the workers do, a few times a second."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

from headrace.async_client import AsyncClient
from headrace.presence import WorkerState
from headrace.tiers import Tier

PERIOD_S = 0.25

Documents = Sequence[Mapping[str, Any]]


class Sample(NamedTuple):
    """The system at one moment."""

    #: Seconds since the burst began; below zero before.
    at_s: float
    #: Jobs that wait in each tier.
    waiting: Mapping[Tier, int]
    #: Workers that the scheduler asks for.
    wanted: int
    ready: int
    #: Alive, but without a model that can run yet.
    starting: int
    #: Finish what they have and take no more.
    draining: int

    @property
    def alive(self) -> int:
        """Workers that there are."""
        return self.ready + self.starting + self.draining

    @property
    def depth(self) -> int:
        """Jobs that wait in any tier."""
        return sum(self.waiting.values())

    def is_idle(self, least: int) -> bool:
        """Tell whether nothing waits, and there are as many workers as are always kept."""
        return self.depth == 0 and self.ready == self.alive == self.wanted == least


def read_sample(at_s: float, *, queues: Documents, workers: Documents, classes: Documents) -> Sample:
    """Count what the API lists."""
    waiting = dict.fromkeys(Tier, 0)
    for queue in queues:
        waiting[Tier(queue["tier"])] += queue["depth"]
    draining = sum(worker["state"] == WorkerState.DRAINING for worker in workers)
    starting = sum(worker["state"] != WorkerState.DRAINING and worker["ready"] is None for worker in workers)
    ready = len(workers) - draining - starting
    return Sample(at_s, waiting, sum(decided["count"] for decided in classes), ready, starting, draining)


def with_start(samples: Sequence[Sample], since_s: float) -> list[Sample]:
    """The samples as if a worker that was started at `since_s` had spoken at once; it does a few seconds later."""
    return [sample._replace(starting=sample.starting + 1) if sample.at_s >= since_s else sample for sample in samples]


#: Is called with all samples after each one.
Show = Callable[[Sequence[Sample]], None]


def _show_nothing(_: Sequence[Sample]) -> None:
    pass


class Watch:
    """What was seen so far.

    Args:
        client: asks the API.
        show: shows what was seen.
    """

    def __init__(self, client: AsyncClient, show: Show) -> None:
        self._client = client
        self._show = show
        self._zero = time.monotonic()
        self.samples: list[Sample] = []
        #: In which second each worker was started that was ever seen, by its id.
        self.started_s: dict[str, float] = {}
        #: What the scheduler changed and why, the newest first.
        self.changes: Documents = ()

    @property
    def first_extra_s(self) -> float | None:
        """When the first worker was started since the burst began; None if none was."""
        return min((at_s for at_s in self.started_s.values() if at_s >= 0), default=None)

    def begin(self) -> None:
        """Count the seconds from now."""
        passed_s = time.monotonic() - self._zero
        self.samples = [sample._replace(at_s=sample.at_s - passed_s) for sample in self.samples]
        self.started_s = {name: at_s - passed_s for name, at_s in self.started_s.items()}
        self._zero += passed_s

    async def look(self) -> None:
        """Ask the API and remember what it says."""
        asked_at = time.monotonic()
        queues, workers, scaling = await asyncio.gather(
            self._client.queues(), self._client.workers(), self._client.scaling()
        )
        self._note_starts(workers)
        at_s = asked_at - self._zero
        self.samples.append(read_sample(at_s, queues=queues, workers=workers, classes=scaling["classes"]))
        self.changes = scaling["changes"]
        self._show(self.samples)

    def _note_starts(self, workers: Documents) -> None:
        now, now_s = datetime.now(UTC), time.monotonic() - self._zero
        for worker in workers:
            if worker["id"] not in self.started_s:
                age = now - datetime.fromisoformat(worker["started"])
                self.started_s[worker["id"]] = started_s = now_s - age.total_seconds()
                self.samples = with_start(self.samples, started_s)

    async def until(self, holds: Callable[[Sample], bool], *, limit_s: float) -> bool:
        """Wait for something to hold of a new sample; False if it did not in time."""
        until = time.monotonic() + limit_s
        seen = len(self.samples)
        while time.monotonic() < until:
            if any(holds(sample) for sample in self.samples[seen:]):
                return True
            await asyncio.sleep(PERIOD_S / 4)
        return False


@asynccontextmanager
async def watching(client: AsyncClient, show: Show = _show_nothing) -> AsyncIterator[Watch]:
    """Look every `PERIOD_S` while the context lasts."""
    watch = Watch(client, show)

    async def look_on() -> None:
        while True:
            next_at = time.monotonic() + PERIOD_S
            await watch.look()
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))

    looking = asyncio.create_task(look_on())
    try:
        yield watch
    finally:
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking
