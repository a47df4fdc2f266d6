"""Headrace draining a backlog: one real worker process with its child, on a server that it has for itself."""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from bench.meter import Drained, Meter
from bench.service import Service, ServiceFailed
from headrace.environments import as_environment
from headrace.groups import group_of
from headrace.ids import new_job_id
from headrace.jobs import NewJob
from headrace.keys import Keys
from headrace.model_ref import ModelRef
from headrace.presence import ModelState, WorkerPresence, parse_presences
from headrace.redis_op import RedisOp, Reply
from headrace.settings import Settings
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass
from registry.registry import Registry
from scheduler.embedded_server import EmbeddedServer

_MODELS = Path(__file__).parent / "models"
_TENANT = "default"
#: 200 bytes of JSON.
_INPUT = json.dumps("x" * 198).encode()
_START_LIMIT_S = 60.0
_DRAIN_LIMIT_S = 120.0
#: Jobs that one round trip submits while a backlog is built.
_CHUNK = 1000


class HeadraceSide:
    """A worker that serves one of `bench/models`.

    Args:
        folder: where registry, cache and output go.
        server: a running server that the worker has for itself.
        model: folder name below `bench/models`.
        parameters: what the model's `parameters.json` says in this run, for models that read one.
        tiers: whom the worker serves.
        worker: False if others start workers.
    """

    #: Folders that are copied beside the model's own files, by the name that they have there.
    additions: ClassVar[Mapping[str, Path]] = {}
    #: What the model is loaded onto.
    device: ClassVar[str] = "cpu"

    def __init__(
        self,
        *,
        folder: Path,
        server: EmbeddedServer,
        model: str,
        parameters: Mapping[str, object],
        tiers: tuple[Tier, ...] = (Tier.STANDARD,),
        worker: bool = True,
    ) -> None:
        self._folder = folder
        self._model = model
        self._parameters = parameters
        self.settings = Settings(
            redis_url=server.url,
            data_dir=folder,
            log_level="WARNING",
            worker_classes={"bench": WorkerClass(tiers=tiers, models=(model,), device=self.device)},
        )
        self.registry = Registry(url=self.settings.registry_location)
        self.store = JobStore(Keys(cell=self.settings.cell))
        self.redis = SyncRedis(url=server.url, timeout_s=30)
        self._has_worker = worker
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        self.ref = self._push()
        with ExitStack() as stack:
            stack.callback(self.redis.close)
            if self._has_worker:
                self._worker = stack.enter_context(self._start_worker())
                self._worker.wait_for("serving", self._is_ready, limit_s=_START_LIMIT_S)
            self._resources = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._resources.close()

    def drain(self, jobs: int | Sequence[bytes]) -> Drained:
        """Measure from the moment a backlog appears until nothing waits and nothing is leased.

        Args:
            jobs: the inputs, or how many of 200 bytes.

        Raises:
            ServiceFailed: if a job did not succeed.
        """
        inputs = [_INPUT] * jobs if isinstance(jobs, int) else jobs
        members = self._stage(inputs)
        presence = self._presence()
        assert presence is not None
        assert presence.child_pid is not None
        pids = {"parent": presence.pid, "child": presence.child_pid}
        meter = Meter(client=self.redis.client, pids=pids)
        self._show()
        self._worker.wait_for("drained", self._is_drained, limit_s=_DRAIN_LIMIT_S, pause_s=0.005)
        drained = meter.read(len(inputs))
        self._check(members)
        return drained

    def pause(self) -> None:
        """Stop the worker where it is, so that jobs pile up."""
        os.kill(self._worker.pid, signal.SIGSTOP)
        self.ring()

    def ring(self) -> None:
        """Set off the claims that idle workers have left at the server: no other follows while they stand still."""
        for tier in Tier:
            bell = self.store.keys.bell(group_of(self.ref, tier))
            self.redis.client.xadd(bell, {"r": 1}, maxlen=1, approximate=False)

    def resume(self) -> None:
        """Let the worker go on."""
        os.kill(self._worker.pid, signal.SIGCONT)

    def wait_until_drained(self, worker: Service | None = None, *, limit_s: float) -> None:
        """Return once nothing waits in any tier and nothing is leased; `worker` is one that others started.

        Raises:
            ServiceFailed: after `limit_s`.
        """
        keys = self.store.keys
        turns = [keys.turn(group_of(self.ref, tier)) for tier in Tier]

        def is_drained() -> bool:
            pipeline = self.redis.client.pipeline(transaction=True)
            pipeline.exists(*turns)
            pipeline.zcard(keys.leases)
            return pipeline.execute() == [0, 0]

        (worker or self._worker).wait_for("drained", is_drained, limit_s=limit_s)

    def wait_until(self, what: str, is_so: Callable[[], bool], *, limit_s: float) -> None:
        """Return once `is_so`.

        Raises:
            ServiceFailed: after `limit_s`, or if the worker ended.
        """
        self._worker.wait_for(what, is_so, limit_s=limit_s)

    def _push(self) -> ModelRef:
        folder = self._folder / "source"
        shutil.copytree(_MODELS / self._model, folder)
        (folder / "parameters.json").write_text(json.dumps(self._parameters))
        for name, source in self.additions.items():
            shutil.copytree(source, folder / name)
        return self.registry.push(folder, name=self._model).manifest.ref

    def _start_worker(self) -> Service:
        names = ("--worker-class", "bench", "--name", "bench-1")
        return Service(
            command=[sys.executable, "-m", "workers", *names],
            log=self._folder / "headrace.log",
            environment=as_environment(self.settings),
        )

    def presences(self) -> list[WorkerPresence]:
        """What the workers say of themselves."""
        keys = self.store.keys
        names = self.redis.run(RedisOp(list[bytes], ("ZRANGE", keys.workers, 0, -1)))
        return parse_presences(self.redis.run(RedisOp(_as_is, ("GET", keys.worker(name.decode())))) for name in names)

    def _presence(self) -> WorkerPresence | None:
        return next(iter(self.presences()), None)

    def _is_ready(self) -> bool:
        presence = self._presence()
        model = presence.models.get(str(self.ref)) if presence else None
        return model is not None and model.state is ModelState.READY

    def _stage(self, inputs: Sequence[bytes]) -> list[str]:
        """Submit to a tier that the worker does not serve."""
        key = b"bench"
        cell = self.store.keys.cell
        ids = [new_job_id(cell=cell, tenant=_TENANT, key=key) for _ in inputs]
        jobs = [
            NewJob(id=job_id, tenant=_TENANT, ref=self.ref, tier=Tier.SPOT, input=raw)
            for job_id, raw in zip(ids, inputs, strict=True)
        ]
        for start in range(0, len(jobs), _CHUNK):
            self.redis.run_all([self.store.submit(job, cap=len(jobs) + 1) for job in jobs[start : start + _CHUNK]])
        return [f"{_TENANT}/{job_id}" for job_id in ids]

    def _show(self) -> None:
        """Move the backlog to the tier that is served, at once, as the list of the other side is renamed."""
        keys = self.store.keys
        hidden, served = group_of(self.ref, Tier.SPOT), group_of(self.ref, Tier.STANDARD)
        pipeline = self.redis.client.pipeline(transaction=True)
        pipeline.rename(keys.ready(hidden, _TENANT), keys.ready(served, _TENANT))
        pipeline.rename(keys.turn(hidden), keys.turn(served))
        pipeline.xadd(keys.bell(served), {"r": 1}, maxlen=1, approximate=False)
        pipeline.execute()

    def _is_drained(self) -> bool:
        served = group_of(self.ref, Tier.STANDARD)
        pipeline = self.redis.client.pipeline(transaction=True)
        pipeline.exists(self.store.keys.turn(served))
        pipeline.zcard(self.store.keys.leases)
        return pipeline.execute() == [0, 0]

    def _check(self, members: list[str]) -> None:
        for start in range(0, len(members), _CHUNK):
            chunk = members[start : start + _CHUNK]
            pipeline = self.redis.client.pipeline(transaction=False)
            for member in chunk:
                pipeline.hget(self.store.keys.job(member), "s")
            wrong = [state for state in pipeline.execute() if state != b"succeeded"]
            if wrong:
                raise ServiceFailed(f"{len(wrong)} of {len(chunk)} jobs ended otherwise: {set(wrong)}")


def _as_is(reply: Reply) -> bytes | None:
    return None if reply is None else bytes(reply)
