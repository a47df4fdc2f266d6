"""Workers of unlike speed on one queue, each a real one, and what became of the jobs that they shared."""

import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from bench.headrace_side import HeadraceSide
from bench.service import Service, ServiceFailed
from headrace.environments import as_environment
from headrace.ids import new_job_id
from headrace.jobs import NewJob
from headrace.presence import ModelState, WorkerPresence
from headrace.tiers import Tier
from scheduler.embedded_server import EmbeddedServer

_TENANT = "default"
_START_LIMIT_S = 90.0
_LIMIT_S = 300.0
_CHUNK = 1000


class Ended(NamedTuple):
    """What the record of a job says. Times are Unix milliseconds; `tag` is what the benchmark knows it by."""

    tag: float
    worker: str
    accepted_ms: int
    begun_ms: int
    ended_ms: int


class Crew:
    """Workers that serve the model `paced` in all tiers.

    Args:
        folder: where registry, caches and output go.
        server: a running server that the crew has for itself.
        parameters: of the model: `max_batch`, `floor_ms`, `cost_ms`.
        slowness: how many times slower than its parameters say each worker is.
    """

    def __init__(
        self, *, folder: Path, server: EmbeddedServer, parameters: Mapping[str, float], slowness: Sequence[float]
    ) -> None:
        self.side = HeadraceSide(
            folder=folder, server=server, model="paced", parameters=parameters, tiers=tuple(Tier), worker=False
        )
        self._folder = folder
        self._slowness = slowness
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.side)
            self._workers = [stack.enter_context(self._start(n, slow)) for n, slow in enumerate(self._slowness, 1)]
            self._workers[0].wait_for("serving", self._are_ready, limit_s=_START_LIMIT_S)
            self._resources = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    def _start(self, number: int, slowness: float) -> Service:
        return Service(
            command=[sys.executable, "-m", "workers", "--worker-class", "bench", "--name", f"bench-{number}"],
            log=self._folder / f"worker-{number}.log",
            environment=as_environment(self.side.settings) | {"HEADRACE_BENCH_SLOWNESS": str(slowness)},
        )

    def _are_ready(self) -> bool:
        return len(self.ready()) == len(self._workers)

    def ready(self) -> list[WorkerPresence]:
        """The workers that can run the model, in the order of their numbers."""
        presences = [
            worker
            for worker in self.side.presences()
            if (model := worker.models.get(str(self.side.ref))) is not None and model.state is ModelState.READY
        ]
        return sorted(presences, key=lambda worker: worker.node)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The workers stand still meanwhile, so that jobs pile up."""
        for worker in self._workers:
            os.kill(worker.pid, signal.SIGSTOP)
        self.side.ring()
        try:
            yield
        finally:
            for worker in self._workers:
                os.kill(worker.pid, signal.SIGCONT)

    def submit(self, costs: Sequence[int], tier: Tier, *, tenant: str = _TENANT) -> list[str]:
        """Hand in jobs of these costs; answers their members."""
        store, ref = self.side.store, self.side.ref
        jobs = [
            NewJob(
                id=new_job_id(cell=store.keys.cell, tenant=tenant, key=b"bench"),
                tenant=tenant,
                ref=ref,
                tier=tier,
                input=b"%d" % cost,
            )
            for cost in costs
        ]
        for start in range(0, len(jobs), _CHUNK):
            self.side.redis.run_all([store.submit(job, cap=1_000_000) for job in jobs[start : start + _CHUNK]])
        return [job.member for job in jobs]

    def wait_until_drained(self) -> None:
        """Return once nothing waits and nothing is leased.

        Raises:
            ServiceFailed: if that takes too long.
        """
        self.side.wait_until_drained(self._workers[0], limit_s=_LIMIT_S)

    def wait_until_told(self, jobs: int) -> list[WorkerPresence]:
        """The workers once they have told of so many jobs, all in all."""
        name = str(self.side.ref)

        def told() -> bool:
            return sum(worker.models[name].jobs for worker in self.ready()) >= jobs

        self._workers[0].wait_for("told", told, limit_s=_START_LIMIT_S)
        return self.ready()

    def read(self, members: Sequence[str], tags: Sequence[float]) -> list[Ended]:
        """What became of jobs.

        Raises:
            ServiceFailed: if one did not succeed.
        """
        pipeline = self.side.redis.client.pipeline(transaction=False)
        for member in members:
            pipeline.hmget(self.side.store.keys.job(member), ["s", "w", "q", "b", "e"])
        ended = []
        for tag, (state, worker, *times) in zip(tags, pipeline.execute(), strict=True):
            if state != b"succeeded":
                raise ServiceFailed(f"a job ended as {state!r}")
            ended.append(Ended(tag, worker.decode(), *map(int, times)))
        return ended
