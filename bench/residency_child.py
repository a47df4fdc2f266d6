"""Eight small models take turns in a real child that has memory for three: a real worker's engine, server and files.

Each model is a dense layer of random weights. The memory of the child is looked at all the while.
"""

import random
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np

from bench.drain import running_server
from headrace.ids import new_job_id
from headrace.jobs import JobStatus, NewJob
from headrace.keys import Keys
from headrace.model_ref import ModelRef
from headrace.settings import Settings
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass
from registry.registry import Registry
from workers.engine import JobEngine
from workers.identity import WorkerIdentity
from workers.loop import SelectorLoop
from workers.view import NoView

_MODELS, _FITTING = 8, 3
_ROWS, _COLUMNS = 4096, 3072
_WEIGHT_BYTES = 4 * _ROWS * _COLUMNS
#: What a child needs besides imports and weights: threads, pipes, rows of a pass, what the allocator keeps.
_ROOM_BYTES = 40_000_000
_LOOK_S = 0.002
_PAUSE_S = 0.1
_LIMIT_S = 300.0
_TENANT = "default"
_SOURCE = f"""
import numpy as np
from headrace.model import Model

class Dense(Model, max_batch=16, memory_bytes={_WEIGHT_BYTES}):
    examples = [1]

    def load(self, files, device):
        self.weights = np.load(files / "weights.npy")

    def forward(self, batch: list[int]) -> list[float]:
        inputs = np.ones((len(batch), {_ROWS}), np.float32) * np.array(batch, np.float32)[:, None]
        return (inputs @ self.weights).mean(axis=1).tolist()
"""


class ChildFigures(NamedTuple):
    """How the child did. `most_bytes` is the most resident memory that was seen."""

    jobs: int
    succeeded: int
    took_s: float
    loads: int
    load_s: float
    most_bytes: int
    budget_bytes: int


def run_child(*, jobs: int, seed: int) -> ChildFigures:
    """Have a worker with memory for three models serve eight, some much more wanted than others."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headrace-bench-")))
        server = stack.enter_context(running_server(folder / "redis"))
        trial = _Trial(folder=folder, url=server.url, seed=seed)
        stack.callback(trial.close)
        return trial.run(jobs, random.Random(seed))


class _Trial:
    def __init__(self, *, folder: Path, url: str, seed: int) -> None:
        settings = Settings(redis_url=url, cell="bench", data_dir=folder / "data", metrics_port=0, log_level="WARNING")
        self._budget_bytes = bare_bytes() + _ROOM_BYTES + _FITTING * _WEIGHT_BYTES
        registry = Registry(url=settings.registry_location)
        self._refs = [_push(registry, folder / f"dense-{i}", seed + i) for i in range(_MODELS)]
        self._store, self._redis = JobStore(Keys(cell="bench")), SyncRedis(url=url)
        kind = WorkerClass(memory_bytes=self._budget_bytes, wait_objective_s=2.0)
        self._engine = JobEngine(
            settings=settings,
            identity=WorkerIdentity(id="bench-1", class_name="bench", worker_class=kind),
            view=NoView(),
        )
        self._loop = SelectorLoop()

    def run(self, jobs: int, rng: random.Random) -> ChildFigures:
        self._engine.start()
        self._engine.attach(self._loop)
        began = time.monotonic()
        members: list[str] = []
        with _Watch(self._engine) as watch:
            while len(members) < jobs:
                members += self._submit(rng)
                # Some of the next ones come while these run.
                self._loop.run_until(lambda: False, limit_s=_PAUSE_S)
            self._loop.run_until(lambda: not self._waiting(members), limit_s=_LIMIT_S)
        found = self._redis.run_all([self._store.read(member) for member in members])
        tallies = self._engine.figures().tally.models.values()
        return ChildFigures(
            jobs=len(members),
            succeeded=sum(job is not None and job.status is JobStatus.SUCCEEDED for job in found),
            took_s=time.monotonic() - began,
            loads=sum(tally.load_s.count for tally in tallies),
            load_s=sum(tally.load_s.sum for tally in tallies),
            most_bytes=watch.most_bytes,
            budget_bytes=self._budget_bytes,
        )

    def _submit(self, rng: random.Random) -> list[str]:
        """Some jobs at once: the first model is wanted eight times as often as the last."""
        weights = [1 / (rank + 1) for rank in range(_MODELS)]
        jobs = [_job(ref, rng.randrange(10)) for ref in rng.choices(self._refs, weights, k=8)]
        self._redis.run_all([self._store.submit(job, cap=1_000_000) for job in jobs])
        return [job.member for job in jobs]

    def _waiting(self, members: list[str]) -> bool:
        found = self._redis.run_all([self._store.read(member) for member in members])
        return any(job is None or not job.status.is_terminal for job in found)

    def close(self) -> None:
        self._engine.stop()
        self._loop.close()
        self._redis.close()


class _Watch:
    """Looks at the child's resident memory all the while."""

    def __init__(self, engine: JobEngine) -> None:
        self.most_bytes = 0
        self._engine = engine
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._ended.wait(_LOOK_S):
            self.most_bytes = max(self.most_bytes, resident_bytes(self._engine.child_pid))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()


def _push(registry: Registry, folder: Path, seed: int) -> ModelRef:
    folder.mkdir()
    (folder / "model.py").write_text(_SOURCE)
    np.save(folder / "weights.npy", np.random.default_rng(seed).random((_ROWS, _COLUMNS), np.float32))
    return registry.push(folder, name=folder.name).manifest.ref


def _job(ref: ModelRef, value: int) -> NewJob:
    job_id = new_job_id(cell="bench", tenant=_TENANT, key=b"bench")
    return NewJob(id=job_id, tenant=_TENANT, ref=ref, tier=Tier.STANDARD, input=b"%d" % value)


def bare_bytes() -> int:
    """Resident memory of a child that has imported what these models need, and loaded none."""
    code = "import numpy, workers.child, workers.memory_meter as m; print(m.MemoryMeter('cpu').used_bytes())"
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)


def resident_bytes(pid: int | None) -> int:
    """Resident memory of a process, 0 if there is none."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
    except (FileNotFoundError, ProcessLookupError):
        return 0
