"""A job engine on a loop of our own, with a real server and a real child: everything of a worker but Celery."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headrace.jobs import Job, JobStatus
from headrace.keys import Keys
from headrace.model_ref import ModelRef
from headrace.settings import Settings
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from headrace.worker_class import WorkerClass
from registry.registry import Registry
from tests.integration.submitting import submit_inputs, submit_words
from workers.engine import JobEngine
from workers.identity import WorkerIdentity
from workers.loop import SelectorLoop
from workers.view import NoView

#: A model whose inputs say what it shall do.
SOURCE = '''
import ctypes, os, time
from headrace.model import Model

class Obedient(Model, max_batch=8):
    """Does what its input says."""

    def forward(self, batch: list[str]) -> list[str]:
        for word in batch:
            if word == "raise":
                raise ValueError("told to raise")
            if word == "exit":
                os._exit(3)
            if word == "segfault":
                ctypes.string_at(0)
            if word == "hang":
                time.sleep(3600)
            if word == "hold the GIL":
                ctypes.PyDLL(None).sleep(3600)
            if word.startswith("sleep "):
                time.sleep(float(word.split()[1]))
        return [word.upper() for word in batch]
'''


class EngineRig:
    """One engine, and the submitter and reader beside it."""

    def __init__(
        self,
        worker_class: WorkerClass | None = None,
        name: str = "w",
        /,
        *,
        url: str,
        keys: Keys,
        folder: Path,
        **settings: object,
    ) -> None:
        self.settings = Settings.model_validate(
            {"redis_url": url, "cell": keys.cell, "data_dir": folder, "lease_ms": 3000, "registry_poll_s": 0.1}
            | settings
        )
        self.registry = Registry(url=self.settings.registry_location)
        self.redis = SyncRedis(url=url)
        self.store = JobStore(keys)
        self.keys = keys
        self.loop = SelectorLoop()
        self.worker_class = worker_class or WorkerClass()
        identity = WorkerIdentity(id=f"{name}-{keys.cell}", class_name="on-demand", worker_class=self.worker_class)
        self.engine = JobEngine(settings=self.settings, identity=identity, view=NoView())

    def push(self, name: str = "obedient", source: str = SOURCE) -> ModelRef:
        folder = self.settings.data_dir / "source" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.py").write_text(source)
        return self.registry.push(folder, name=name).manifest.ref

    def start(self) -> None:
        self.engine.start()
        self.engine.attach(self.loop)

    def submit(self, *inputs: str, ref: ModelRef, **fields: Any) -> list[str]:
        """Submit in one go; answers the members."""
        return submit_words(self.redis, self.store, ref, inputs, **fields)

    def submit_raw(self, *inputs: bytes, ref: ModelRef, **fields: Any) -> list[str]:
        """Submit what is JSON in one go; answers the members."""
        return submit_inputs(self.redis, self.store, ref, inputs, **fields)

    def job(self, member: str) -> Job:
        job = self.redis.run(self.store.read(member))
        assert job is not None
        return job

    def output(self, member: str) -> bytes:
        return self.redis.run(self.store.output(member)) or b""

    def run_until(self, done: Callable[[], bool], *, limit_s: float = 50.0) -> None:
        assert self.loop.run_until(done, limit_s=limit_s)

    def finish(self, *members: str) -> list[JobStatus]:
        """Run until all have ended; answers how."""
        self.run_until(lambda: all(self.job(member).status.is_terminal for member in members))
        return [self.job(member).status for member in members]

    def leases(self) -> int:
        return int(self.redis.client.zcard(self.keys.leases))

    def close(self) -> None:
        # Nobody asks any more what comes of a pass that still runs.
        self.engine.hurry()
        self.engine.stop()
        self.redis.close()
        self.loop.close()


def wait_until(done: Callable[[], bool], *, limit_s: float = 50.0) -> None:
    """Wait for something that other processes do."""
    end = time.monotonic() + limit_s
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)
