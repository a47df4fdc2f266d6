"""A job too large for one worker runs on a larger one: two workers of unlike size, with real children."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headrace.jobs import Cause, JobStatus, Reason
from headrace.keys import Keys
from headrace.model_ref import ModelRef
from headrace.worker_class import WorkerClass
from tests.integration.engine_rig import EngineRig
from tests.integration.submitting import submit_words

GB = 1_000_000_000
#: The devices are one and the same, and tell the model on what worker it is.
CLASSES = {
    "small": WorkerClass(device="cpu", memory_bytes=2 * GB),
    "large": WorkerClass(device="cpu:0", memory_bytes=4 * GB),
}
#: A word costs its length; `cpu` has no room for long ones, and nobody has for `oom`.
SOURCE = """
from headrace.model import Model

class Sized(Model, max_batch=4):
    def load(self, files, device):
        self.room = 5 if device == "cpu" else 100

    def cost(self, item: str) -> int:
        return len(item)

    def forward(self, batch: list[str]) -> list[str]:
        if "oom" in batch or max(map(len, batch)) > self.room:
            raise MemoryError
        return [word.upper() for word in batch]
"""


class Pair:
    """A small worker, and a large one once it is started."""

    def __init__(self, *, url: str, keys: Keys, folder: Path) -> None:
        self._place = {"url": url, "keys": keys, "folder": folder}
        self._rigs: list[EngineRig] = []
        self.small = self.start("small")
        self.ref = self.small.push("sized", SOURCE)

    def start(self, name: str) -> EngineRig:
        rig = EngineRig(CLASSES[name], name, **self._place, worker_classes=CLASSES)  # type: ignore[arg-type] # by name
        rig.start()
        self._rigs.append(rig)
        return rig

    def submit(self, *words: str, ref: ModelRef | None = None, max_attempts: int = 3) -> list[str]:
        return submit_words(self.small.redis, self.small.store, ref or self.ref, words, max_attempts=max_attempts)

    def run_until(self, done: Callable[[], bool]) -> None:
        """Both live in this process, so each has its turn."""
        for _ in range(2000):
            if done():
                return
            for rig in self._rigs:
                rig.loop.run_until(done, limit_s=0.02)
        raise AssertionError("it did not happen in time")

    def finish(self, *members: str) -> list[JobStatus]:
        self.run_until(lambda: all(self.small.job(member).status.is_terminal for member in members))
        return [self.small.job(member).status for member in members]

    def outgrew(self, member: str) -> bool:
        return self.small.job(member).outgrown_bytes == 2 * GB and self.small.job(member).worker is None

    def close(self) -> None:
        for rig in self._rigs:
            rig.close()


@pytest.fixture
def pair(redis_url: str, keys: Keys, tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(url=redis_url, keys=keys, folder=tmp_path)
    yield pair
    pair.close()


def test_what_runs_out_of_memory_alone_is_run_by_a_larger_worker_and_its_batch_mates_where_they_are(
    pair: Pair,
) -> None:
    short, long = pair.submit("short", "much too long")
    pair.run_until(lambda: pair.outgrew(long))
    waiting = pair.small.job(long)

    large = pair.start("large")
    ends = pair.finish(short, long)

    assert [JobStatus.SUCCEEDED] * 2 == ends
    assert (JobStatus.QUEUED, Reason.NEEDS_LARGER_WORKER, 1) == (waiting.status, waiting.reason, waiting.attempts)
    workers = [pair.small.job(member).worker for member in (short, long)]
    assert [rig.engine.presence().id for rig in (pair.small, large)] == workers
    assert 2 == pair.small.job(long).attempts


def test_once_it_is_known_what_is_too_large_no_such_job_is_run_there_or_charged_for_it(pair: Pair) -> None:
    (first,) = pair.submit("much too long")
    pair.run_until(lambda: pair.outgrew(first))

    (second,) = pair.submit("much too long as well")
    pair.run_until(lambda: pair.outgrew(second))

    assert 0 == pair.small.job(second).attempts
    pair.start("large")
    assert [JobStatus.SUCCEEDED] * 2 == pair.finish(first, second)
    assert [2, 1] == [pair.small.job(member).attempts for member in (first, second)]


def test_what_is_too_large_for_the_largest_has_failed_there_for_want_of_memory(pair: Pair) -> None:
    (member,) = pair.submit("oom")
    large = pair.start("large")

    assert [JobStatus.FAILED] == pair.finish(member)

    job = pair.small.job(member)
    assert (Cause.OOM, large.engine.presence().id) == (job.cause, job.worker)
    assert b"MemoryError" in pair.small.output(member)
    assert job.attempts <= 2


def test_without_an_attempt_left_it_has_failed_where_it_was(pair: Pair) -> None:
    (member,) = pair.submit("much too long", max_attempts=1)

    assert [JobStatus.FAILED] == pair.finish(member)

    assert (Cause.OOM, 1) == (pair.small.job(member).cause, pair.small.job(member).attempts)
