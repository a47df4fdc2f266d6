"""A whole system on this machine, as `headrace up` runs it, with the model `sleep`, and jobs that arrive by HTTP."""

import asyncio
import json
import random
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import httpx2

from bench.service import Service
from headrace.environments import as_environment
from headrace.keys import Keys
from headrace.running import find_running
from headrace.settings import Settings
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass
from registry.registry import Registry
from scheduler.embedded_server import free_port

_MODEL = Path(__file__).parent / "models" / "sleep"
_START_LIMIT_S = 90.0
_DRAIN_LIMIT_S = 180.0
_MOST_CONNECTIONS = 64


class Arrival(NamedTuple):
    """A job that is to be handed in."""

    #: Seconds from the beginning.
    at_s: float
    tier: Tier = Tier.STANDARD


class Handed(NamedTuple):
    """What became of it at the door: its id, or empty if it was refused."""

    arrival: Arrival
    job_id: str
    status: int


class Done(NamedTuple):
    """What its record says. Times are Unix milliseconds."""

    tier: Tier
    status: str
    attempts: int
    accepted_ms: int
    begun_ms: int
    ended_ms: int

    @property
    def wait_s(self) -> float:
        """From accepted to begun."""
        return (self.begun_ms - self.accepted_ms) / 1000


class WholeSystem:
    """Redis, API, scheduler, courier and workers.

    Args:
        folder: for everything that is written.
        forward_ms: length of a pass.
        max_batch: most jobs of one.
        classes: the worker classes.
        settings: others than the usual ones.
    """

    def __init__(
        self, *, folder: Path, forward_ms: float, max_batch: int, classes: Mapping[str, WorkerClass], **settings: Any
    ) -> None:
        self._folder = folder
        self._parameters = {"forward_ms": forward_ms, "max_batch": max_batch}
        self.port = free_port()
        known = {"data_dir": folder / "data", "log_level": "INFO", "metrics_port": 0, "worker_classes": dict(classes)}
        self.settings = Settings.model_validate({**known, **settings})
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        source = self._folder / "source"
        shutil.copytree(_MODEL, source)
        (source / "parameters.json").write_text(json.dumps(self._parameters))
        Registry(url=self.settings.registry_location).push(source, name="sleep")
        command = [sys.executable, "-m", "scheduler.up", "--port", str(self.port)]
        given = self.settings.model_dump(include=self.settings.model_fields_set - {"redis_url"}).keys()
        environment = {
            f"HEADRACE_{name.upper()}": as_environment(self.settings)[f"HEADRACE_{name.upper()}"] for name in given
        }
        with ExitStack() as stack:
            self.service = Service(command=command, log=self._folder / "up.log", environment=environment)
            stack.enter_context(self.service)
            self.http = stack.enter_context(httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30))
            self.service.wait_for("serving", self._is_up, limit_s=_START_LIMIT_S)
            running = find_running(self.settings.data_dir)
            assert running is not None
            self.redis_url = running.redis_url
            self.redis = SyncRedis(url=running.redis_url)
            stack.callback(self.redis.close)
            self._resources = stack.pop_all()
        self.store = JobStore(Keys(cell=self.settings.cell))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    def _is_up(self) -> bool:
        try:
            return self.http.get("/readyz").status_code == 200
        except httpx2.HTTPError:
            return False

    def ready(self) -> int:
        """Workers that can run the model."""
        return sum(int(row["ready"]) for row in self.http.get("/v1/scaling").json()["classes"])

    def run_one(self) -> None:
        """Run one job, so that it is known how long one takes."""
        answer = self.http.post("/v1/jobs", json={"model": "sleep", "input": "x"}, headers={"Prefer": "wait=30"})
        answer.raise_for_status()

    def hand_in(self, arrivals: Sequence[Arrival]) -> list[Handed]:
        """Hand jobs in when they arrive, whatever became of those before."""
        return asyncio.run(_open_loop(self.port, arrivals))

    def wait_until_drained(self) -> None:
        """Return once nothing waits and nothing is leased.

        Raises:
            ServiceFailed: if that takes too long.
        """
        self.service.wait_for("drained", self._is_drained, limit_s=_DRAIN_LIMIT_S, pause_s=0.1)

    def _is_drained(self) -> bool:
        store = self.store
        groups = self.redis.run(store.groups())
        waiting = sum(queue.depth for queue in self.redis.run(store.depths(groups)))
        return waiting == 0 and self.redis.client.zcard(store.keys.leases) == 0

    def read(self, handed: Sequence[Handed]) -> list[Done]:
        """The records of those that were accepted."""
        pipeline = self.redis.client.pipeline(transaction=False)
        accepted = [one for one in handed if one.job_id]
        for one in accepted:
            pipeline.hmget(self.store.keys.job(f"default/{one.job_id}"), ["s", "a", "q", "b", "e"])
        return [
            Done(one.arrival.tier, status.decode(), *(int(value or 0) for value in rest))
            for one, (status, *rest) in zip(accepted, pipeline.execute(), strict=True)
        ]


def poisson(rates: Sequence[tuple[float, float]], tiers: Mapping[Tier, float], seed: int) -> list[Arrival]:
    """Arrivals at each rate (per second) for so long (seconds), one after another, each tier with its share."""
    chance, arrivals, begun = random.Random(seed), [], 0.0
    for per_s, seconds in rates:
        at = begun
        while per_s and (at := at + chance.expovariate(per_s)) < begun + seconds:
            arrivals.append(Arrival(at, chance.choices(list(tiers), list(tiers.values()))[0]))
        begun += seconds
    return arrivals


async def _open_loop(port: int, arrivals: Sequence[Arrival]) -> list[Handed]:
    limits = httpx2.Limits(max_connections=_MOST_CONNECTIONS, max_keepalive_connections=_MOST_CONNECTIONS)
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", limits=limits, timeout=60) as client:
        began, tasks = time.monotonic(), []
        for arrival in arrivals:
            await asyncio.sleep(max(0.0, began + arrival.at_s - time.monotonic()))
            tasks.append(asyncio.ensure_future(_hand_in(client, arrival)))
        return await asyncio.gather(*tasks)


async def _hand_in(client: httpx2.AsyncClient, arrival: Arrival) -> Handed:
    body = {"model": "sleep", "input": "x", "options": {"tier": arrival.tier}}
    answer = await client.post("/v1/jobs", json=body)
    job_id = answer.json()["id"] if answer.status_code == 202 else ""
    return Handed(arrival, job_id, answer.status_code)
