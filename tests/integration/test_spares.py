"""Processes that have everything imported and wait: kept, handed out, and what becomes of them as real workers."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.environments import as_environment
from headrace.jobs import JobStatus
from headrace.keys import Keys
from headrace.presence import WorkerPresence, parse_presences
from headrace.redis_op import RedisOp
from headrace.replies import read_texts
from headrace.settings import Settings
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from headrace.worker_class import WorkerClass
from registry.registry import Registry
from scheduler.backends.port import BackendState
from scheduler.backends.process import ProcessBackend
from scheduler.backends.spares import Spares
from scheduler.processes import Process
from tests.integration.engine_rig import wait_until
from tests.integration.submitting import submit_words

LIMIT_S = 60.0
REST_S = 5.0

#: Says that it waits, then what it was told.
PATIENT = """
import signal, sys
print("waits", flush=True)
print("is", sys.stdin.readline().strip(), flush=True)
signal.pause()
"""


class Yard:
    """Spares that are small programs, by a clock of our own."""

    def __init__(self, source: str = PATIENT, *, rest_s: float = REST_S) -> None:
        self.now = 0.0
        self.lines: list[tuple[str, str]] = []
        self._source = source
        self.made: list[Process] = []
        self.spares = Spares(counts={"gpu": 1, "cpu": 0}, make=self._make, rest_s=rest_s, clock=lambda: self.now)
        self.backend = ProcessBackend(
            environment={},
            sink=self._hear,
            command_of=lambda *_: [sys.executable, "-c", "import signal; signal.pause()"],
            spares=self.spares,
        )

    def _make(self, _worker_class: str, name: str) -> Process:
        command = [sys.executable, "-c", self._source]
        process = Process(name=name, command=command, environment={}, sink=self._hear, stdin=subprocess.PIPE)
        self.made.append(process)
        return process

    def _hear(self, name: str, text: str) -> None:
        self.lines.append((name, text))

    def step(self, after_s: float = REST_S) -> None:
        self.now += after_s
        self.spares.step()


@pytest.fixture
def yard() -> Iterator[Yard]:
    yard = Yard()
    yield yard
    close(yard)


def close(yard: Yard) -> None:
    yard.spares.close()
    for worker in yard.backend.workers():
        yard.backend.kill(worker.id)


def test_the_next_worker_is_made_of_the_spare_and_goes_by_its_own_name(yard: Yard) -> None:
    yard.step()
    wait_until(lambda: len(yard.lines) == 1, limit_s=LIMIT_S)
    [spare] = yard.made

    worker = yard.backend.start("gpu", 1)
    wait_until(lambda: len(yard.lines) == 2, limit_s=LIMIT_S)

    assert worker.id == spare.name
    assert (worker.id, f"is {worker.id}") == yard.lines[1]
    assert [(worker.id, BackendState.RUNNING)] == [(one.id, one.state) for one in yard.backend.workers()]


def test_what_was_taken_is_replaced_when_the_new_worker_has_had_its_time(yard: Yard) -> None:
    yard.step()
    yard.backend.start("gpu", 1)

    yard.step(REST_S / 2)
    soon = len(yard.made)
    yard.step(REST_S / 2)

    assert [1, 2] == [soon, len(yard.made)]


def test_a_class_without_spares_starts_as_ever(yard: Yard) -> None:
    yard.step()

    yard.backend.start("cpu", 1)

    assert [process.pid for process in yard.made] == yard.spares.pids


def test_a_spare_that_has_died_is_no_worker(yard: Yard) -> None:
    yard.step()
    yard.made[0].kill()

    yard.backend.start("gpu", 1)

    assert [BackendState.RUNNING] == [worker.state for worker in yard.backend.workers()]
    assert [] == yard.spares.pids


def test_spares_that_crash_are_started_ever_more_rarely() -> None:
    yard = Yard("import sys; sys.exit('no such module')", rest_s=0.0)
    for _ in range(40):
        yard.step(1.0)
        yard.made[-1].wait(LIMIT_S)

    close(yard)

    assert 4 <= len(yard.made) <= 8


def test_nothing_is_left_when_all_ends(yard: Yard) -> None:
    yard.step()

    yard.spares.close()
    yard.step()

    assert ([], 1) == (yard.spares.pids, len(yard.made))
    assert -signal.SIGKILL == yard.made[0].status


# --- real ones -----------------------------------------------------------------------------------------------

SOURCE = """
import os, sys
from headrace.model import Model

IMPORTED = tuple(sys.modules)

class Asked(Model):
    def forward(self, batch: list[str]) -> list[str]:
        known = {"devices": os.environ["CUDA_VISIBLE_DEVICES"], "pid": os.getpid(), "modules": "decimal" in IMPORTED}
        return [str(known[word]) for word in batch]
"""


class RealSpare:
    """A spare of a class that leases a device, and the queue that it will serve."""

    def __init__(self, *, redis_url: str, keys: Keys, folder: Path) -> None:
        kind = WorkerClass(devices=("GPU-1",), warm_imports=("decimal", "no_such_module"))
        self.settings = Settings(
            redis_url=redis_url, cell=keys.cell, data_dir=folder, registry_poll_s=0.2, worker_classes={"gpu": kind}
        )
        self.redis, self.store = SyncRedis(url=redis_url), JobStore(keys)
        source = folder / "source"
        source.mkdir()
        (source / "model.py").write_text(SOURCE)
        self.ref = Registry(url=self.settings.registry_location).push(source, name="asked").manifest.ref
        self._log = (folder / "spare.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "workers", "--worker-class", "gpu", "--spare"],
            env=dict(os.environ) | as_environment(self.settings),
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        wait_until(lambda: self.child is not None, limit_s=LIMIT_S)

    @property
    def child(self) -> int | None:
        """The models' process that it has ready."""
        words = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(words[0]) if words else None

    def tell(self, node: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(node.encode() + b"\n")
        self.process.stdin.close()

    def presences(self) -> list[WorkerPresence]:
        keys = self.store.keys
        names = self.redis.run(RedisOp(read_texts, ("ZRANGE", keys.workers, 0, -1)))
        return self.redis.run(RedisOp(parse_presences, ("MGET", *map(keys.worker, names)))) if names else []

    def answers(self, *words: str) -> list[str]:
        """What the model says, once it runs."""
        members = submit_words(self.redis, self.store, self.ref, words)
        wait_until(lambda: all(self._has_succeeded(member) for member in members), limit_s=LIMIT_S)
        return [(self.redis.run(self.store.output(member)) or b"").decode().strip('"') for member in members]

    def _has_succeeded(self, member: str) -> bool:
        job = self.redis.run(self.store.read(member))
        return job is not None and job.status is JobStatus.SUCCEEDED

    def close(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(LIMIT_S)
        self.redis.close()
        self._log.close()


@pytest.fixture
def spare(redis_url: str, keys: Keys, tmp_path: Path) -> Iterator[RealSpare]:
    spare = RealSpare(redis_url=redis_url, keys=keys, folder=tmp_path)
    yield spare
    spare.close()


def test_a_spare_becomes_a_worker_with_the_child_that_it_has_ready(spare: RealSpare) -> None:
    child, before_ms = spare.child, spare.redis.client.time()[0] * 1000
    unheard = spare.presences()

    spare.tell("gpu-1")

    assert ["GPU-1", str(child), "True"] == spare.answers("devices", "pid", "modules")
    [presence] = spare.presences()
    assert ([], "gpu-1", child) == (unheard, presence.node, presence.child_pid)
    assert presence.started_ms >= before_ms - 1000


def test_a_spare_whose_child_has_died_starts_another(spare: RealSpare) -> None:
    child = spare.child
    assert child is not None
    os.kill(child, signal.SIGKILL)

    spare.tell("gpu-1")

    assert [str(child)] != spare.answers("pid")


def test_a_spare_that_nobody_needs_ends_with_its_child(spare: RealSpare) -> None:
    child = spare.child
    assert spare.process.stdin is not None

    spare.process.stdin.close()

    assert 0 == spare.process.wait(LIMIT_S)
    wait_until(lambda: not Path(f"/proc/{child}").exists(), limit_s=LIMIT_S)
